#include "hidreamer/nn/pytorch_file.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/nn/pickle.h"
#include "hidreamer/nn/zip_archive.h"

namespace hidreamer::nn {
namespace {

using Kind = PickleNode::Kind;

constexpr int kDeepestNesting = 32;
constexpr size_t kMostEntries = 1'000'000;
constexpr std::string_view kLfsPointer = "version https://git-lfs";

const std::map<std::string, torch::Dtype>& StorageTypes() {
  static const std::map<std::string, torch::Dtype> types = {
      {"torch FloatStorage", torch::kFloat32}, {"torch DoubleStorage", torch::kFloat64},
      {"torch HalfStorage", torch::kFloat16},  {"torch BFloat16Storage", torch::kBFloat16},
      {"torch LongStorage", torch::kInt64},    {"torch IntStorage", torch::kInt32},
      {"torch ShortStorage", torch::kInt16},   {"torch CharStorage", torch::kInt8},
      {"torch ByteStorage", torch::kUInt8},    {"torch BoolStorage", torch::kBool},
  };
  return types;
}

class File {
 public:
  explicit File(const std::filesystem::path& path) : path_(path), entries_(ReadStoredZip(path)) {
    const std::string_view suffix = "data.pkl";
    for (const auto& [name, bytes] : entries_) {
      if (name == suffix || name.ends_with("/data.pkl")) {
        prefix_ = name.substr(0, name.size() - suffix.size());
      }
    }
    if (!entries_.contains(prefix_ + "data.pkl")) {
      Fail("it holds no data.pkl");
    }
    const auto order = entries_.find(prefix_ + "byteorder");
    if (order != entries_.end() && order->second != "little") {
      Fail("its numbers are big-endian");
    }
  }

  TensorMap Read() {
    const Pickle pickle = ReadPickle(entries_.at(prefix_ + "data.pkl"), path_.string());
    Collect(*pickle.root, "", 0);
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw UserError("a .pt or .pth file as torch.save writes it is expected", "cannot read {}: {}",
                    path_.string(), what);
  }

  void Collect(const PickleNode& node, const std::string& name, int depth) {
    if (depth > kDeepestNesting || ++entries_seen_ > kMostEntries) {
      Fail("it is nested too deeply or has too many entries");
    }
    const auto join = [&](const std::string& part) {
      return name.empty() ? part : name + "." + part;
    };
    if (node.kind == Kind::kTensor) {
      if (!tensors_.emplace(name, Build(node, name)).second) {
        Fail(fmt::format("{} is there twice", name));
      }
    } else if (node.kind == Kind::kDict) {
      for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
        const PickleNode& key = *node.items[i];
        const std::string part = key.kind == Kind::kString ? key.text : std::to_string(key.integer);
        Collect(*node.items[i + 1], join(part), depth + 1);
      }
    } else if (node.kind == Kind::kList) {
      for (size_t i = 0; i < node.items.size(); ++i) {
        Collect(*node.items[i], join(std::to_string(i)), depth + 1);
      }
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

  // Copies a possibly strided view of a storage into a tensor of its own.
  torch::Tensor Build(const PickleNode& node, const std::string& name) const {
    const PickleNode& storage = *node.items[0];
    const auto type = StorageTypes().find(storage.items[1]->text);
    if (type == StorageTypes().end()) {
      Fail(fmt::format("{} has the unknown type {}", name, storage.items[1]->text));
    }
    const auto entry = entries_.find(prefix_ + "data/" + storage.items[2]->text);
    if (entry == entries_.end()) {
      Fail(fmt::format("the data of {} is missing", name));
    }
    const std::string& bytes = entry->second;
    const auto item_size = c10::elementSize(type->second);
    const auto elements = static_cast<int64_t>(bytes.size() / item_size);
    if (storage.items[4]->integer != elements || bytes.size() % item_size != 0) {
      Fail(fmt::format("the data of {} has another size than announced", name));
    }
    const int64_t offset = node.items[1]->integer;
    const std::vector<int64_t> sizes = Integers(*node.items[2], name);
    const std::vector<int64_t> strides = Integers(*node.items[3], name);
    CheckPlace(name, offset, sizes, strides, elements);
    if (type->second == torch::kBool &&
        std::any_of(bytes.begin(), bytes.end(), [](char byte) { return byte != 0 && byte != 1; })) {
      Fail(fmt::format("{} holds a byte that is neither true nor false", name));
    }
    torch::Tensor whole = torch::empty({elements}, type->second);
    if (!bytes.empty()) {
      std::memcpy(whole.data_ptr(), bytes.data(), bytes.size());
    }
    return whole.as_strided(sizes, strides, offset).clone(torch::MemoryFormat::Contiguous);
  }

  // Every element lies in the storage, and there are not more of them than the storage has.
  void CheckPlace(const std::string& name, int64_t offset, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides, int64_t elements) const {
    const auto out_of_bounds = [&] { Fail(fmt::format("{} does not lie within its data", name)); };
    if (sizes.size() != strides.size() || offset < 0 || offset > elements) {
      out_of_bounds();
    }
    if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) {
      return;
    }
    int64_t count = 1;
    int64_t last = offset;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] > elements / count ||
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

  std::filesystem::path path_;
  std::map<std::string, std::string> entries_;
  std::string prefix_;
  TensorMap tensors_;
  size_t entries_seen_ = 0;
};

bool AllStartWith(const TensorMap& map, const std::string& prefix) {
  return !map.empty() && std::all_of(map.begin(), map.end(), [&](const auto& entry) {
    return entry.first.starts_with(prefix);
  });
}

}  // namespace

TensorMap LoadPytorchFile(const std::filesystem::path& path) {
  std::error_code status;
  if (std::filesystem::is_regular_file(path, status) && std::filesystem::file_size(path) < 1024 &&
      ReadFile(path).starts_with(kLfsPointer)) {
    throw UserError("fetch it with `git lfs pull`", "{} is a Git LFS pointer, not the file itself",
                    path.string());
  }
  return File(path).Read();
}

TensorMap ModelWeights(const TensorMap& file) {
  constexpr std::array<const char*, 8> kWrappers = {
      "model_state_dict.", "state_dict.",      "encoder_state_dict.", "tokenizer_state_dict.",
      "vq_state_dict.",    "hrvq_state_dict.", "model_state.",        "model."};
  TensorMap weights = file;
  for (const char* wrapper : kWrappers) {
    if (TensorMap inner = WithoutPrefix(weights, wrapper); !inner.empty()) {
      weights = std::move(inner);
      break;
    }
  }
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const char* prefix : {"module.", "_orig_mod.", "model."}) {
      if (AllStartWith(weights, prefix)) {
        weights = WithoutPrefix(weights, prefix);
        stripped = true;
      }
    }
  }
  return weights;
}

}  // namespace hidreamer::nn
