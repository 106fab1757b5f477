#include "hidreamer/formats/pytorch_file.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/pickle.h"
#include "hidreamer/formats/pytorch_container.h"

namespace hidreamer::formats {
namespace {

using Kind = PickleNode::Kind;

constexpr int kDeepestNesting = 200;  // what lies deeper is passed over
constexpr size_t kMostTensors = 1'000'000;
constexpr size_t kMostNameBytes = size_t{1} << 26;
constexpr int64_t kMostExpanded = 1 << 20;  // elements of a view that repeats its data
constexpr size_t kNamedClasses = 5;

// The tensors below a node, by their names.
class Collector {
 public:
  Collector(PytorchContainer container, std::string source)
      : container_(std::move(container)), source_(std::move(source)) {}

  PytorchFile Collect() {
    Visit(*container_.pickle.root, "", 0);
    NamePassedOver();
    return std::move(file_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw UserError("the file is corrupt or was cut short", "cannot read {}: {}", source_, what);
  }

  // Whether there is a tensor at or below the node. Objects may refer to each other in circles, and
  // what holds no tensor is looked through once.
  bool Visit(const PickleNode& node, const std::string& name, int depth) {
    if (node.kind == Kind::kTensor) {
      AddTensor(node, name);
      return true;
    }
    const bool container =
        node.kind == Kind::kDict || node.kind == Kind::kList || node.kind == Kind::kObject;
    if (!container || depth > kDeepestNesting || barren_.contains(&node) ||
        !on_path_.insert(&node).second) {
      return false;
    }
    const bool found = VisitInside(node, name, depth);
    on_path_.erase(&node);
    if (!found) {
      barren_.insert(&node);
    }
    return found;
  }

  bool VisitInside(const PickleNode& node, const std::string& name, int depth) {
    const auto join = [&](const std::string& part) {
      return name.empty() ? part : name + "." + part;
    };
    bool found = false;
    if (node.kind == Kind::kDict) {
      for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
        if (MayHold(*node.items[i + 1])) {
          const std::string key = KeyName(*node.items[i], i / 2);
          found |= Visit(*node.items[i + 1], join(key), depth + 1);
        }
      }
    } else if (node.kind == Kind::kList) {
      for (size_t i = 0; i < node.items.size(); ++i) {
        if (MayHold(*node.items[i])) {
          found |= Visit(*node.items[i], join(std::to_string(i)), depth + 1);
        }
      }
    } else if (node.text.starts_with("torch") &&
               node.text.find(" _rebuild_") != std::string::npos) {
      CountName(name);
      file_.unread.emplace(name, DescribeTensor(node));
    } else {
      for (const PickleNode* part : node.items) {
        found |= IsModuleState(*part) ? VisitModule(*part, name, depth + 1)
                                      : Visit(*part, name, depth + 1);
      }
    }
    return found;
  }

  static bool MayHold(const PickleNode& node) {
    return node.kind == Kind::kTensor || node.kind == Kind::kDict || node.kind == Kind::kList ||
           node.kind == Kind::kObject;
  }

  static std::string KeyName(const PickleNode& key, size_t index) {
    switch (key.kind) {
      case Kind::kString:
        return key.text;
      case Kind::kInt:
      case Kind::kBool:
        return std::to_string(key.integer);
      default:
        return "#" + std::to_string(index);
    }
  }

  static const PickleNode* Member(const PickleNode& dict, std::string_view key) {
    for (size_t i = 0; dict.kind == Kind::kDict && i + 1 < dict.items.size(); i += 2) {
      if (dict.items[i]->kind == Kind::kString && dict.items[i]->text == key) {
        return dict.items[i + 1];
      }
    }
    return nullptr;
  }
  // The attributes of a torch.nn.Module.
  static bool IsModuleState(const PickleNode& node) {
    return Member(node, "_parameters") != nullptr && Member(node, "_modules") != nullptr;
  }
  // Named as state_dict() names them.
  bool VisitModule(const PickleNode& state, const std::string& name, int depth) {
    std::set<std::string> left_out;
    if (const PickleNode* names = Member(state, "_non_persistent_buffers_set")) {
      for (const PickleNode* item : names->items) {
        left_out.insert(item->text);
      }
    }
    bool found = false;
    for (const char* part : {"_parameters", "_buffers", "_modules"}) {
      const PickleNode* members = Member(state, part);
      if (members == nullptr || members->kind != Kind::kDict) {
        continue;
      }
      for (size_t i = 0; i + 1 < members->items.size(); i += 2) {
        const std::string& key = members->items[i]->text;
        if (part != std::string_view("_buffers") || !left_out.contains(key)) {
          found |= Visit(*members->items[i + 1], name.empty() ? key : name + "." + key, depth + 1);
        }
      }
    }
    return found;
  }

  // What a tensor that is rebuilt by another function is.
  static std::string DescribeTensor(const PickleNode& object) {
    const auto& arguments = object.items.empty() ? object.items : object.items[0]->items;
    for (const PickleNode* argument : arguments) {
      if (argument->kind == Kind::kGlobal && argument->text.starts_with("torch ") &&
          !argument->text.ends_with("Storage")) {
        return argument->text;
      }
    }
    return object.text;
  }

  void CountName(const std::string& name) {
    name_bytes_ += name.size();
    if (name_bytes_ > kMostNameBytes ||
        file_.tensors.size() + file_.unread.size() >= kMostTensors) {
      Fail("it names too many tensors");
    }
  }

  void AddTensor(const PickleNode& node, const std::string& name) {
    CountName(name);
    const PickleNode& storage = *node.items[0];
    const std::optional<torch::Dtype> type = TypeOfStorage(storage.items[1]->text);
    if (!type) {
      file_.unread.emplace(name, storage.items[1]->text);
    } else if (!file_.tensors.emplace(name, Build(node, *type, name)).second) {
      Fail(fmt::format("{} is there twice", name));
    }
  }

  std::vector<int64_t> Integers(const PickleNode& node, const std::string& name) const {
    std::vector<int64_t> values;
    for (const PickleNode* item : node.items) {
      if (item->kind != Kind::kInt || item->integer < 0) {
        Fail(fmt::format("{} has a malformed shape", name));
      }
      values.push_back(item->integer);
    }
    return values;
  }

  // A possibly strided view of its storage, which others may share.
  torch::Tensor Build(const PickleNode& node, torch::Dtype type, const std::string& name) {
    const torch::Tensor whole = Storage(*node.items[0], type, name);
    const int64_t offset = node.items[1]->integer;
    const std::vector<int64_t> sizes = Integers(*node.items[2], name);
    const std::vector<int64_t> strides = Integers(*node.items[3], name);
    CheckPlace(name, offset, sizes, strides, whole.numel());
    return whole.as_strided(sizes, strides, offset);
  }

  // The whole storage, (elements); read in place.
  torch::Tensor Storage(const PickleNode& storage, torch::Dtype type, const std::string& name) {
    const std::string& key = storage.items[2]->text;
    const auto data = container_.storages.find(key);
    if (data == container_.storages.end()) {
      Fail(fmt::format("the data of {} is missing", name));
    }
    const std::string& bytes = *data->second;
    const auto item_size = c10::elementSize(type);
    const auto elements = static_cast<int64_t>(bytes.size() / item_size);
    if (storage.items[4]->integer != elements || bytes.size() % item_size != 0) {
      Fail(fmt::format("the data of {} has another size than announced", name));
    }
    torch::Tensor& whole = storages_[{key, type}];
    if (!whole.defined()) {
      if (type == torch::kBool && std::any_of(bytes.begin(), bytes.end(),
                                              [](char byte) { return byte != 0 && byte != 1; })) {
        Fail(fmt::format("{} holds a byte that is neither true nor false", name));
      }
      whole = bytes.empty()
                  ? torch::empty({0}, type)
                  : torch::from_blob(
                        data->second->data(), {elements}, [kept = data->second](void*) {}, type);
    }
    return whole;
  }

  // Every element lies in the storage, and there are not many more of them than the storage has.
  void CheckPlace(const std::string& name, int64_t offset, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides, int64_t elements) const {
    const auto out_of_bounds = [&] { Fail(fmt::format("{} does not lie within its data", name)); };
    if (sizes.size() != strides.size() || offset < 0 || offset > elements) {
      out_of_bounds();
    }
    if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) {
      return;
    }
    const int64_t most = std::max(elements, kMostExpanded);
    int64_t count = 1;
    int64_t last = offset;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] > most / count ||
          (sizes[i] > 1 && strides[i] > (elements - last) / (sizes[i] - 1))) {
        out_of_bounds();
      }
      count *= sizes[i];
      last += (sizes[i] - 1) * (sizes[i] > 1 ? strides[i] : 0);
    }
    if (last >= elements) {
      out_of_bounds();
    }
  }

  // Says which classes of objects hold nothing that is read.
  void NamePassedOver() const {
    std::set<std::string> classes;
    for (const PickleNode* node : barren_) {
      if (node->kind == Kind::kObject && !node->text.empty() &&
          !node->text.starts_with("torch.nn.modules.") && classes.size() <= kNamedClasses) {
        classes.insert(node->text);
      }
    }
    if (!classes.empty()) {
      const bool more = classes.size() > kNamedClasses;
      if (more) {
        classes.erase(std::prev(classes.end()));
      }
      spdlog::info("{}: passed over unread: {}{}", source_, fmt::join(classes, ", "),
                   more ? " and others" : "");
    }
    for (const auto& [name, what] : file_.unread) {
      spdlog::warn("{}: passed over {}: tensors of {} are not read", source_, name, what);
    }
  }

  PytorchContainer container_;
  std::string source_;
  PytorchFile file_;
  std::map<std::pair<std::string, torch::Dtype>, torch::Tensor> storages_;
  std::unordered_set<const PickleNode*> on_path_, barren_;
  size_t name_bytes_ = 0;
};

}  // namespace

PytorchFile LoadPytorchFile(const std::filesystem::path& path) {
  return Collector(OpenPytorchContainer(path), path.string()).Collect();
}

TensorMap WithoutWrappers(const TensorMap& file) {
  TensorMap result;
  for (const auto& [name, tensor] : file) {
    std::string short_name = "." + name;
    for (const std::string part : {".module.", "._orig_mod."}) {
      for (size_t at = 0; (at = short_name.find(part, at)) != std::string::npos;) {
        short_name.erase(at, part.size() - 1);
      }
    }
    if (!result.emplace(short_name.substr(1), tensor).second) {
      return file;  // the same name with and without: these are no wrappers
    }
  }
  return result;
}

std::vector<std::string> PrefixesOf(const TensorMap& file, const std::vector<std::string>& names) {
  constexpr std::array<std::string_view, 9> kOwnWeights = {"",
                                                           "model_state_dict.",
                                                           "state_dict.",
                                                           "encoder_state_dict.",
                                                           "tokenizer_state_dict.",
                                                           "vq_state_dict.",
                                                           "hrvq_state_dict.",
                                                           "model_state.",
                                                           "model."};
  std::vector<std::string> prefixes;
  for (const auto& [name, tensor] : file) {
    if (!name.ends_with(names.front())) {
      continue;
    }
    const std::string prefix = name.substr(0, name.size() - names.front().size());
    const bool all = std::all_of(names.begin(), names.end(), [&](const std::string& wanted) {
      return file.contains(prefix + wanted);
    });
    if ((prefix.empty() || prefix.ends_with('.')) && all) {
      prefixes.push_back(prefix);
    }
  }
  const auto rank = [&](const std::string& prefix) {
    return std::pair(std::find(kOwnWeights.begin(), kOwnWeights.end(), prefix), prefix.size());
  };
  std::stable_sort(prefixes.begin(), prefixes.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return prefixes;
}

}  // namespace hidreamer::formats
