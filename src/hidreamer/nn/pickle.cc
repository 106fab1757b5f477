#include "hidreamer/nn/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {
namespace {

using Kind = PickleNode::Kind;

// Opcodes of protocols 2 to 5 (Python's pickletools) that occur in state dicts.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kBinFloat = 'G',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

// What a call of a global stands for.
enum class Meaning { kDict, kTensor, kParameter, kList, kStorageType, kOpaque };

const std::map<std::string, Meaning, std::less<>>& KnownGlobals() {
  static const std::map<std::string, Meaning, std::less<>> known = {
      {"collections OrderedDict", Meaning::kDict},
      {"torch._utils _rebuild_tensor_v2", Meaning::kTensor},
      {"torch._utils _rebuild_parameter", Meaning::kParameter},
      {"torch Size", Meaning::kList},
      {"__builtin__ set", Meaning::kList},
      {"builtins set", Meaning::kList},
      {"torch device", Meaning::kOpaque},
      {"numpy.core.multiarray scalar", Meaning::kOpaque},
      {"numpy._core.multiarray scalar", Meaning::kOpaque},
      {"numpy dtype", Meaning::kOpaque},
      {"_codecs encode", Meaning::kOpaque},
      {"torch FloatStorage", Meaning::kStorageType},
      {"torch DoubleStorage", Meaning::kStorageType},
      {"torch HalfStorage", Meaning::kStorageType},
      {"torch BFloat16Storage", Meaning::kStorageType},
      {"torch LongStorage", Meaning::kStorageType},
      {"torch IntStorage", Meaning::kStorageType},
      {"torch ShortStorage", Meaning::kStorageType},
      {"torch CharStorage", Meaning::kStorageType},
      {"torch ByteStorage", Meaning::kStorageType},
      {"torch BoolStorage", Meaning::kStorageType},
  };
  return known;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  Pickle Read() {
    while (Step(static_cast<Opcode>(Byte()))) {
    }
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw UserError("the file is corrupt, or holds more than a state dict",
                    "cannot read {}: {} (byte {} of its pickle)", source_, what, at_);
  }

  std::string_view Take(uint64_t count) {
    if (count > bytes_.size() - at_) {
      Fail("it ends early");
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  uint8_t Byte() { return static_cast<uint8_t>(Take(1)[0]); }
  // A little-endian number of `size` bytes.
  uint64_t Number(size_t size) {
    uint64_t number = 0;
    const std::string_view taken = Take(size);
    for (size_t i = 0; i < size; ++i) {
      number |= static_cast<uint64_t>(static_cast<uint8_t>(taken[i])) << (8 * i);
    }
    return number;
  }
  std::string Line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) {
      Fail("it ends early");
    }
    const std::string line(Take(end - at_));
    Take(1);
    return line;
  }

  PickleNode* New(Kind kind) {
    pickle_.nodes.emplace_back().kind = kind;
    return &pickle_.nodes.back();
  }
  void Push(PickleNode* node) { stack_.push_back(node); }
  PickleNode* Pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) {
      Fail("its stack runs empty");
    }
    PickleNode* node = stack_.back();
    stack_.pop_back();
    return node;
  }
  PickleNode* Top(Kind kind) {
    PickleNode* node = Pop();
    if (node->kind != kind) {
      Fail("an object of another kind was expected");
    }
    stack_.push_back(node);
    return node;
  }
  std::vector<const PickleNode*> PopToMark() {
    if (marks_.empty()) {
      Fail("a mark is missing");
    }
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleNode*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void PushInteger(Kind kind, int64_t value) {
    PickleNode* node = New(kind);
    node->integer = value;
    Push(node);
  }
  void PushText(std::string_view text) {
    PickleNode* node = New(Kind::kString);
    node->text = text;
    Push(node);
  }
  void PushTuple(size_t count) {
    PickleNode* node = New(Kind::kList);
    for (size_t i = 0; i < count; ++i) {
      node->items.push_back(Pop());
    }
    std::reverse(node->items.begin(), node->items.end());
    Push(node);
  }
  void PushGlobal(const std::string& name) {
    if (!KnownGlobals().contains(name)) {
      throw UserError(
          "only state dicts are read, and nothing of a file is ever executed; save "
          "model.state_dict() alone",
          "{} is refused: it names the Python global '{}'", source_, name);
    }
    PickleNode* node = New(Kind::kGlobal);
    node->text = name;
    Push(node);
  }
  void PushLong() {
    const size_t size = Byte();
    if (size > sizeof(int64_t)) {
      Fail("an integer does not fit 64 bits");
    }
    uint64_t value = Number(size);
    if (size > 0 && size < sizeof value && (value >> (8 * size - 1)) != 0) {
      value |= ~uint64_t{0} << (8 * size);  // sign
    }
    PushInteger(Kind::kInt, static_cast<int64_t>(value));
  }
  void PushFloat() {
    uint64_t bits = 0;
    for (const char byte : Take(sizeof bits)) {  // big-endian
      bits = bits << 8 | static_cast<uint8_t>(byte);
    }
    PickleNode* node = New(Kind::kFloat);
    node->real = std::bit_cast<double>(bits);
    Push(node);
  }

  void Append(Kind kind, const std::vector<const PickleNode*>& items) {
    PickleNode* target = Top(kind);
    if (kind == Kind::kDict && items.size() % 2 != 0) {
      Fail("a key lacks its value");
    }
    target->items.insert(target->items.end(), items.begin(), items.end());
  }

  void Put(uint64_t index) {
    PickleNode* node = Pop();
    Push(node);
    memo_[index] = node;
  }
  void Get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) {
      Fail("it refers to an object that is not there");
    }
    Push(found->second);
  }

  // A call "global(*arguments)", described but not made.
  void Reduce() {
    const PickleNode* arguments = Pop();
    const PickleNode* global = Pop();
    if (arguments->kind != Kind::kList || global->kind != Kind::kGlobal) {
      Fail("a call of something that cannot be called");
    }
    const auto& items = arguments->items;
    switch (KnownGlobals().at(global->text)) {
      case Meaning::kDict: {
        PickleNode* dict = New(Kind::kDict);
        if (!items.empty()) {  // OrderedDict([[key, value], …])
          for (const PickleNode* pair : items[0]->items) {
            if (pair->items.size() != 2) {
              Fail("a key lacks its value");
            }
            dict->items.insert(dict->items.end(), pair->items.begin(), pair->items.end());
          }
        }
        return Push(dict);
      }
      case Meaning::kTensor: {
        if (items.size() < 4 || items[0]->kind != Kind::kStorage) {
          Fail("a malformed tensor");
        }
        PickleNode* tensor = New(Kind::kTensor);
        tensor->items = items;
        return Push(tensor);
      }
      case Meaning::kParameter: {
        if (items.empty() || items[0]->kind != Kind::kTensor) {
          Fail("a malformed parameter");
        }
        PickleNode* tensor = New(Kind::kTensor);
        tensor->items = items[0]->items;
        return Push(tensor);
      }
      case Meaning::kList: {
        PickleNode* list = New(Kind::kList);
        if (!items.empty()) {
          list->items = items[0]->items;
        }
        return Push(list);
      }
      case Meaning::kOpaque:
        return Push(New(Kind::kOpaque));
      case Meaning::kStorageType:
        break;
    }
    Fail("a call of a storage type");
  }

  void PersistentId() {
    const PickleNode* id = Pop();
    if (id->kind != Kind::kList || id->items.size() < 5 || id->items[0]->text != "storage" ||
        id->items[1]->kind != Kind::kGlobal || id->items[2]->kind != Kind::kString ||
        id->items[4]->kind != Kind::kInt) {
      Fail("a malformed storage");
    }
    PickleNode* storage = New(Kind::kStorage);
    storage->items = id->items;
    Push(storage);
  }

  bool Step(Opcode opcode);

  std::string_view bytes_;
  std::string source_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<PickleNode*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleNode*> memo_;
};

// One instruction; false after the last.
bool Reader::Step(Opcode opcode) {
  switch (opcode) {
    case kProtocol:
      if (Byte() > 5) {
        Fail("a newer pickle protocol");
      }
      break;
    case kFrame:
      Take(8);
      break;
    case kStop:
      pickle_.root = Pop();
      return false;
    case kMark:
      marks_.push_back(stack_.size());
      break;
    case kPop:
      Pop();
      break;
    case kPopMark:
      PopToMark();
      break;
    case kDup: {
      PickleNode* node = Pop();
      Push(node);
      Push(node);
      break;
    }
    case kNone:
      Push(New(Kind::kNone));
      break;
    case kNewTrue:
    case kNewFalse:
      PushInteger(Kind::kBool, opcode == kNewTrue);
      break;
    case kBinInt:
      PushInteger(Kind::kInt, static_cast<int32_t>(static_cast<uint32_t>(Number(4))));
      break;
    case kBinInt1:
      PushInteger(Kind::kInt, static_cast<int64_t>(Number(1)));
      break;
    case kBinInt2:
      PushInteger(Kind::kInt, static_cast<int64_t>(Number(2)));
      break;
    case kLong1:
      PushLong();
      break;
    case kBinFloat:
      PushFloat();
      break;
    case kShortBinString:
    case kShortBinBytes:
    case kShortBinUnicode:
      PushText(Take(Number(1)));
      break;
    case kBinString:
    case kBinBytes:
    case kBinUnicode:
      PushText(Take(Number(4)));
      break;
    case kBinUnicode8:
      PushText(Take(Number(8)));
      break;
    case kEmptyDict:
      Push(New(Kind::kDict));
      break;
    case kEmptyList:
    case kEmptySet:
    case kEmptyTuple:
      Push(New(Kind::kList));
      break;
    case kTuple: {
      std::vector<const PickleNode*> items = PopToMark();
      PickleNode* node = New(Kind::kList);
      node->items = std::move(items);
      Push(node);
      break;
    }
    case kTuple1:
      PushTuple(1);
      break;
    case kTuple2:
      PushTuple(2);
      break;
    case kTuple3:
      PushTuple(3);
      break;
    case kAppend: {
      const PickleNode* item = Pop();
      Append(Kind::kList, {item});
      break;
    }
    case kAppends:
    case kAddItems: {
      const std::vector<const PickleNode*> items = PopToMark();
      Append(Kind::kList, items);
      break;
    }
    case kSetItem: {
      const PickleNode* value = Pop();
      const PickleNode* key = Pop();
      Append(Kind::kDict, {key, value});
      break;
    }
    case kSetItems: {
      const std::vector<const PickleNode*> items = PopToMark();
      Append(Kind::kDict, items);
      break;
    }
    case kGlobal: {
      const std::string module = Line();
      PushGlobal(module + " " + Line());
      break;
    }
    case kStackGlobal: {
      const PickleNode* name = Pop();
      const PickleNode* module = Pop();
      PushGlobal(module->text + " " + name->text);
      break;
    }
    case kBinPut:
      Put(Number(1));
      break;
    case kLongBinPut:
      Put(Number(4));
      break;
    case kMemoize:
      Put(memo_.size());
      break;
    case kBinGet:
      Get(Number(1));
      break;
    case kLongBinGet:
      Get(Number(4));
      break;
    case kBinPersistentId:
      PersistentId();
      break;
    case kReduce:
    case kNewObject:
      Reduce();
      break;
    case kBuild:  // attributes of an object, such as a state dict's _metadata: not needed
      Pop();
      break;
    default:
      Fail(fmt::format("an unknown instruction 0x{:02x}", static_cast<unsigned>(opcode)));
  }
  return true;
}

}  // namespace

Pickle ReadPickle(std::string_view bytes, const std::string& source) {
  return Reader(bytes, source).Read();
}

}  // namespace hidreamer::nn
