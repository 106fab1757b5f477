#include "hidreamer/formats/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/pickle_opcodes.h"

namespace hidreamer::formats {
namespace {

using Kind = PickleNode::Kind;

// A hostile file must not exhaust the memory: a byte of it can stand for a whole object.
constexpr size_t kMostNodes = 8'000'000;
constexpr size_t kMostItems = 32'000'000;

// What a call of a global stands for.
enum class Meaning { kDict, kTensor, kParameter, kSubclass, kList, kObject };

Meaning MeaningOf(std::string_view global) {
  static const std::map<std::string, Meaning, std::less<>> known = {
      {"collections OrderedDict", Meaning::kDict},
      {"torch._utils _rebuild_tensor", Meaning::kTensor},
      {"torch._utils _rebuild_tensor_v2", Meaning::kTensor},
      {"torch._utils _rebuild_parameter", Meaning::kParameter},
      {"torch._utils _rebuild_parameter_with_state", Meaning::kParameter},
      {"torch._tensor _rebuild_from_type_v2", Meaning::kSubclass},
      {"torch Size", Meaning::kList},
      {"__builtin__ set", Meaning::kList},
      {"builtins set", Meaning::kList},
      {"__builtin__ frozenset", Meaning::kList},
      {"builtins frozenset", Meaning::kList},
  };
  const auto found = known.find(global);
  return found == known.end() ? Meaning::kObject : found->second;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  Pickle Read() {
    while (Step(static_cast<pickle::Opcode>(Byte()))) {
    }
    pickle_.size = at_;
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw UserError("the file is corrupt or was cut short",
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
    if (pickle_.nodes.size() >= kMostNodes) {
      throw UserError("save the weights alone: torch.save(model.state_dict(), FILE)",
                      "cannot read {}: it holds more than {} objects", source_, kMostNodes);
    }
    pickle_.nodes.emplace_back().kind = kind;
    return &pickle_.nodes.back();
  }
  // An object that is described by the name of what makes it and by its parts.
  PickleNode* NewObject(const std::string& text, const std::vector<const PickleNode*>& parts) {
    PickleNode* object = New(Kind::kObject);
    object->text = text;
    Add(*object, parts);
    return object;
  }
  void Add(PickleNode& node, const std::vector<const PickleNode*>& items) {
    items_ += items.size();
    if (items_ > kMostItems) {
      throw UserError("save the weights alone: torch.save(model.state_dict(), FILE)",
                      "cannot read {}: its lists hold more than {} items", source_, kMostItems);
    }
    node.items.insert(node.items.end(), items.begin(), items.end());
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
    std::vector<const PickleNode*> items;
    for (size_t i = 0; i < count; ++i) {
      items.push_back(Pop());
    }
    std::reverse(items.begin(), items.end());
    PushContainer(Kind::kList, items);
  }
  void PushContainer(Kind kind, const std::vector<const PickleNode*>& items) {
    CheckPairs(kind, items);
    PickleNode* node = New(kind);
    Add(*node, items);
    Push(node);
  }
  void CheckPairs(Kind kind, const std::vector<const PickleNode*>& items) const {
    if (kind == Kind::kDict && items.size() % 2 != 0) {
      Fail("a key lacks its value");
    }
  }
  void PushGlobal(const std::string& name) {
    PickleNode* node = New(Kind::kGlobal);
    node->text = name;
    Push(node);
  }
  void PushLong(uint64_t size) {
    if (size > sizeof(int64_t)) {  // nothing that is read here needs so large a number
      Take(size);
      return Push(NewObject("builtins int", {}));
    }
    uint64_t value = Number(size);
    if (size > 0 && size < sizeof value && (value >> (8 * size - 1)) != 0) {
      value |= ~uint64_t{0} << (8 * size);  // sign
    }
    PushInteger(Kind::kInt, static_cast<int64_t>(value));
  }
  // Decimal, as protocol 0 writes it: "12", "12L", or "01" for True.
  int64_t LineNumber(const std::string& line) const {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || (end != line.data() + line.size() && *end != 'L')) {
      Fail("a malformed number");
    }
    return value;
  }
  void PushLineFloat() {
    const std::string line = Line();
    PickleNode* node = New(Kind::kFloat);
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), node->real);
    if (error != std::errc()) {
      Fail("a malformed number");
    }
    Push(node);
  }
  void PushLineInteger() {
    const std::string line = Line();
    PushInteger(line == "00" || line == "01" ? Kind::kBool : Kind::kInt, LineNumber(line));
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

  // Items of a list or dict; a subclass of either keeps them as a part of its own.
  void Append(Kind kind, const std::vector<const PickleNode*>& items) {
    CheckPairs(kind, items);
    PickleNode* target = Pop();
    Push(target);
    if (target->kind == Kind::kObject) {
      PickleNode* part = New(kind);
      Add(*part, items);
      return Add(*target, {part});
    }
    if (target->kind != kind) {
      Fail("an object of another kind was expected");
    }
    Add(*target, items);
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
  PickleNode* Call(const PickleNode& global, const PickleNode& arguments) {
    if (arguments.kind != Kind::kList) {
      Fail("a call without arguments");
    }
    const auto& items = arguments.items;
    const Meaning meaning =
        global.kind == Kind::kGlobal ? MeaningOf(global.text) : Meaning::kObject;
    switch (meaning) {
      case Meaning::kDict: {
        PickleNode* dict = New(Kind::kDict);
        if (!items.empty()) {  // OrderedDict([[key, value], …])
          for (const PickleNode* pair : items[0]->items) {
            if (pair->items.size() != 2) {
              Fail("a key lacks its value");
            }
            Add(*dict, pair->items);
          }
        }
        return dict;
      }
      case Meaning::kTensor: {
        if (items.size() < 4 || items[0]->kind != Kind::kStorage) {
          Fail("a malformed tensor");
        }
        PickleNode* tensor = New(Kind::kTensor);
        Add(*tensor, items);
        return tensor;
      }
      case Meaning::kParameter:
        if (!items.empty() && items[0]->kind == Kind::kTensor) {
          PickleNode* tensor = New(Kind::kTensor);
          Add(*tensor, items[0]->items);
          return tensor;
        }
        break;
      case Meaning::kSubclass:  // a tensor with attributes: (function, type, arguments, state)
        if (items.size() >= 3 && items[0]->kind == Kind::kGlobal &&
            MeaningOf(items[0]->text) == Meaning::kTensor) {
          return Call(*items[0], *items[2]);
        }
        break;
      case Meaning::kList: {
        PickleNode* list = New(Kind::kList);
        if (!items.empty()) {
          Add(*list, items[0]->items);
        }
        return list;
      }
      case Meaning::kObject:
        break;
    }
    // copyreg names the class as the first argument.
    const bool copied = global.text.starts_with("copy") && !items.empty();
    return NewObject(copied ? items[0]->text : global.text, {&arguments});
  }
  void Reduce() {
    const PickleNode* arguments = Pop();
    const PickleNode* global = Pop();
    Push(Call(*global, *arguments));
  }

  void PersistentId() {
    PickleNode* id = Pop();
    const auto& items = id->items;
    const std::string kind = id->kind == Kind::kList && !items.empty() ? items[0]->text : "";
    if (kind == "module" && items.size() >= 2) {  // a class with its source, before PyTorch 1.6
      return PushGlobal(items[1]->text);
    }
    if (kind != "storage") {
      return Push(NewObject("persistent id", {}));
    }
    if (items.size() < 5 || items[1]->kind != Kind::kGlobal || items[2]->kind != Kind::kString ||
        items[4]->kind != Kind::kInt) {
      Fail("a malformed storage");
    }
    PickleNode* storage = New(Kind::kStorage);
    Add(*storage, items);
    Push(storage);
  }

  bool Step(pickle::Opcode opcode);

  std::string_view bytes_;
  std::string source_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<PickleNode*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleNode*> memo_;
  size_t items_ = 0;
};

// One instruction; false after the last.
bool Reader::Step(pickle::Opcode opcode) {
  switch (opcode) {
    case pickle::kProtocol:
      if (Byte() > 5) {
        Fail("a newer pickle protocol");
      }
      break;
    case pickle::kFrame:
      Take(8);
      break;
    case pickle::kStop:
      pickle_.root = Pop();
      return false;
    case pickle::kMark:
      marks_.push_back(stack_.size());
      break;
    case pickle::kPop:
      Pop();
      break;
    case pickle::kPopMark:
      PopToMark();
      break;
    case pickle::kDup: {
      PickleNode* node = Pop();
      Push(node);
      Push(node);
      break;
    }
    case pickle::kNone:
      Push(New(Kind::kNone));
      break;
    case pickle::kNewTrue:
    case pickle::kNewFalse:
      PushInteger(Kind::kBool, opcode == pickle::kNewTrue);
      break;
    case pickle::kBinInt:
      PushInteger(Kind::kInt, static_cast<int32_t>(static_cast<uint32_t>(Number(4))));
      break;
    case pickle::kBinInt1:
      PushInteger(Kind::kInt, static_cast<int64_t>(Number(1)));
      break;
    case pickle::kBinInt2:
      PushInteger(Kind::kInt, static_cast<int64_t>(Number(2)));
      break;
    case pickle::kLong1:
      PushLong(Number(1));
      break;
    case pickle::kLong4:
      PushLong(Number(4));
      break;
    case pickle::kIntLine:
    case pickle::kLongLine:
      PushLineInteger();
      break;
    case pickle::kFloatLine:
      PushLineFloat();
      break;
    case pickle::kStringLine:
    case pickle::kUnicodeLine:
      PushText(Line());
      break;
    case pickle::kBinFloat:
      PushFloat();
      break;
    case pickle::kShortBinString:
    case pickle::kShortBinBytes:
    case pickle::kShortBinUnicode:
      PushText(Take(Number(1)));
      break;
    case pickle::kBinString:
    case pickle::kBinBytes:
    case pickle::kBinUnicode:
      PushText(Take(Number(4)));
      break;
    case pickle::kBinUnicode8:
    case pickle::kBinBytes8:
    case pickle::kByteArray8:
      PushText(Take(Number(8)));
      break;
    case pickle::kEmptyDict:
      Push(New(Kind::kDict));
      break;
    case pickle::kEmptyList:
    case pickle::kEmptySet:
    case pickle::kEmptyTuple:
      Push(New(Kind::kList));
      break;
    case pickle::kTuple:
    case pickle::kList:
    case pickle::kFrozenSet:
      PushContainer(Kind::kList, PopToMark());
      break;
    case pickle::kDict:
      PushContainer(Kind::kDict, PopToMark());
      break;
    case pickle::kTuple1:
      PushTuple(1);
      break;
    case pickle::kTuple2:
      PushTuple(2);
      break;
    case pickle::kTuple3:
      PushTuple(3);
      break;
    case pickle::kAppend: {
      const PickleNode* item = Pop();
      Append(Kind::kList, {item});
      break;
    }
    case pickle::kAppends:
    case pickle::kAddItems: {
      const std::vector<const PickleNode*> items = PopToMark();
      Append(Kind::kList, items);
      break;
    }
    case pickle::kSetItem: {
      const PickleNode* value = Pop();
      const PickleNode* key = Pop();
      Append(Kind::kDict, {key, value});
      break;
    }
    case pickle::kSetItems: {
      const std::vector<const PickleNode*> items = PopToMark();
      Append(Kind::kDict, items);
      break;
    }
    case pickle::kGlobal: {
      const std::string module = Line();
      PushGlobal(module + " " + Line());
      break;
    }
    case pickle::kStackGlobal: {
      const PickleNode* name = Pop();
      const PickleNode* module = Pop();
      PushGlobal(module->text + " " + name->text);
      break;
    }
    case pickle::kInstance: {
      const std::string module = Line();
      const std::string name = module + " " + Line();
      Push(NewObject(name, PopToMark()));
      break;
    }
    case pickle::kObject: {
      const std::vector<const PickleNode*> items = PopToMark();
      Push(NewObject(items.empty() ? "" : items[0]->text, items));
      break;
    }
    case pickle::kExtension1:
    case pickle::kExtension2:
    case pickle::kExtension4:
      Number(size_t{1} << (opcode - pickle::kExtension1));
      PushGlobal("copyreg extension");
      break;
    case pickle::kPutLine:
      Put(static_cast<uint64_t>(LineNumber(Line())));
      break;
    case pickle::kGetLine:
      Get(static_cast<uint64_t>(LineNumber(Line())));
      break;
    case pickle::kBinPut:
      Put(Number(1));
      break;
    case pickle::kLongBinPut:
      Put(Number(4));
      break;
    case pickle::kMemoize:
      Put(memo_.size());
      break;
    case pickle::kBinGet:
      Get(Number(1));
      break;
    case pickle::kLongBinGet:
      Get(Number(4));
      break;
    case pickle::kBinPersistentId:
      PersistentId();
      break;
    case pickle::kPersistentIdLine:
      Line();
      Push(NewObject("persistent id", {}));
      break;
    case pickle::kReduce:
    case pickle::kNewObject:
      Reduce();
      break;
    case pickle::kNewObjectKeywords:
      Pop();
      Reduce();
      break;
    case pickle::kBuild: {  // attributes; those of a dict or a tensor (a state dict's _metadata)
                            // hold
                            // nothing
      const PickleNode* state = Pop();
      PickleNode* object = Pop();
      Push(object);
      if (object->kind == Kind::kObject) {
        Add(*object, {state});
      }
      break;
    }
    default:
      Fail(fmt::format("an unknown instruction 0x{:02x}", static_cast<unsigned>(opcode)));
  }
  return true;
}

}  // namespace

Pickle ReadPickle(std::string_view bytes, const std::string& source) {
  return Reader(bytes, source).Read();
}

}  // namespace hidreamer::formats
