#include "hidreamer/formats/pytorch_container.h"

#include <cstring>
#include <string_view>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/zip_archive.h"

namespace hidreamer::formats {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;
using Kind = PickleNode::Kind;

constexpr std::string_view kPickleName = "data.pkl";
// The number that files before PyTorch 1.6 begin with, as a pickle writes it.
constexpr std::string_view kLegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
constexpr size_t kLegacyMagicEnd = 32;  // it lies within these bytes
constexpr int64_t kLegacyVersion = 1001;

struct StorageType {
  const char* name;
  size_t bytes;
  std::optional<torch::Dtype> type;
};

const StorageType* FindStorageType(std::string_view name) {
  static const std::vector<StorageType> types = {
      {"FloatStorage", 4, torch::kFloat32},     {"DoubleStorage", 8, torch::kFloat64},
      {"HalfStorage", 2, torch::kFloat16},      {"BFloat16Storage", 2, torch::kBFloat16},
      {"LongStorage", 8, torch::kInt64},        {"IntStorage", 4, torch::kInt32},
      {"ShortStorage", 2, torch::kInt16},       {"CharStorage", 1, torch::kInt8},
      {"ByteStorage", 1, torch::kUInt8},        {"BoolStorage", 1, torch::kBool},
      {"ComplexFloatStorage", 8, std::nullopt}, {"ComplexDoubleStorage", 16, std::nullopt},
      {"QInt8Storage", 1, std::nullopt},        {"QUInt8Storage", 1, std::nullopt},
      {"QInt32Storage", 4, std::nullopt},       {"UntypedStorage", 1, std::nullopt},
  };
  for (const StorageType& type : types) {  // "torch X", "torch.cuda X", "torch.storage X"
    if (name.starts_with("torch") && name.substr(name.find(' ') + 1) == type.name) {
      return &type;
    }
  }
  return nullptr;
}

Error NotPytorch(const fs::path& path, const std::string& what) {
  return UserError("a .pt or .pth file as torch.save writes it is expected", "cannot read {}: {}",
                   path.string(), what);
}

Error CutShort(const fs::path& path, const std::string& what) {
  return UserError("the file is corrupt or was cut short", "cannot read {}: {}", path.string(),
                   what);
}

// What a file is that is no zip archive and no pickle.
std::string DescribeKind(std::string_view bytes) {
  struct Magic {
    size_t at;
    std::string_view bytes;
    const char* what;
  };
  static constexpr Magic kMagics[] = {
      {0, "\x89HDF"sv, "it is an HDF5 file"},
      {0, "\x93NUMPY"sv, "it is a NumPy array (.npy)"},
      {0, "\x1f\x8b"sv, "it is compressed by gzip; unpack it first"},
      {0,
       "\xfd"
       "7zXZ"sv,
       "it is compressed by xz; unpack it first"},
      {0, "\x28\xb5\x2f\xfd"sv, "it is compressed by zstd; unpack it first"},
      {0, "BZh"sv, "it is compressed by bzip2; unpack it first"},
      {257, "ustar"sv, "it is a tar archive; PyTorch wrote such files before 0.1.10"},
      {8, "{\""sv, "it is a safetensors file; name it X.safetensors"},
      {0, "<!DOCTYPE"sv, "it is a web page"},
      {0, "<!doctype"sv, "it is a web page"},
      {0, "<html"sv, "it is a web page"},
  };
  for (const Magic& magic : kMagics) {
    if (bytes.size() >= magic.at + magic.bytes.size() &&
        bytes.substr(magic.at, magic.bytes.size()) == magic.bytes) {
      return magic.what;
    }
  }
  if (bytes.starts_with('\x80')) {
    return "it is a pickle, but not one of torch.save";
  }
  return bytes.empty() ? "it is empty" : "it is no file of torch.save";
}

PytorchContainer OpenZip(const fs::path& path) {
  std::map<std::string, std::string> entries = ReadStoredZip(path);
  std::string prefix;
  bool found = false, arrays = false;
  for (const auto& [name, bytes] : entries) {
    arrays = arrays || name.ends_with(".npy");
    if (name == kPickleName || name.ends_with("/data.pkl")) {
      prefix = name.substr(0, name.size() - kPickleName.size());
      found = true;
    }
  }
  if (!found) {
    throw NotPytorch(path, arrays ? "it is a NumPy archive (.npz)"
                                  : "it is a zip archive without an uncompressed data.pkl");
  }
  const auto order = entries.find(prefix + "byteorder");
  if (order != entries.end() && order->second != "little") {
    throw NotPytorch(path, "its numbers are big-endian");
  }
  PytorchContainer container{.pickle = ReadPickle(entries.at(prefix + "data.pkl"), path.string()),
                             .storages = {}};
  const std::string data = prefix + "data/";
  for (auto& [name, bytes] : entries) {
    if (name.starts_with(data)) {
      container.storages.emplace(name.substr(data.size()),
                                 std::make_shared<std::string>(std::move(bytes)));
    }
  }
  return container;
}

// Before PyTorch 1.6: pickles of a magic number, a version, facts of the machine, the object and
// the keys of its storages, then each storage as its number of elements and its data.
PytorchContainer OpenLegacy(const fs::path& path, std::string_view bytes) {
  const std::string source = path.string();
  size_t at = 0;
  const auto next = [&] {
    Pickle pickle = ReadPickle(bytes.substr(at), source);
    at += pickle.size;
    return pickle;
  };
  next();  // the magic number
  const Pickle version = next();
  if (version.root->kind != Kind::kInt || version.root->integer != kLegacyVersion) {
    throw NotPytorch(path, "it is of a version of PyTorch's old format that is not known");
  }
  const Pickle machine = next();
  for (size_t i = 0; i + 1 < machine.root->items.size(); i += 2) {
    if (machine.root->items[i]->text == "little_endian" &&
        machine.root->items[i + 1]->integer == 0) {
      throw NotPytorch(path, "its numbers are big-endian");
    }
  }
  PytorchContainer container{.pickle = next(), .storages = {}};
  std::map<std::string, std::string> classes;  // of the storages, by key
  for (const PickleNode& node : container.pickle.nodes) {
    if (node.kind == Kind::kStorage) {
      if (node.items.size() > 5 && node.items[5]->kind != Kind::kNone) {
        throw NotPytorch(path, "its storages are parts of each other, as before PyTorch 0.4");
      }
      classes[node.items[2]->text] = node.items[1]->text;
    }
  }
  const Pickle keys = next();
  for (const PickleNode* key : keys.root->items) {
    const StorageType* type = FindStorageType(classes[key->text]);
    if (type == nullptr) {
      throw NotPytorch(path, fmt::format("it has a storage of class '{}'", classes[key->text]));
    }
    int64_t elements = 0;
    if (bytes.size() - at < sizeof elements) {
      throw CutShort(path, "it ends early");
    }
    std::memcpy(&elements, bytes.data() + at, sizeof elements);
    at += sizeof elements;
    if (elements < 0 || static_cast<uint64_t>(elements) > (bytes.size() - at) / type->bytes) {
      throw CutShort(path, "it ends early");
    }
    const size_t size = static_cast<size_t>(elements) * type->bytes;
    if (!container.storages
             .emplace(key->text, std::make_shared<std::string>(bytes.substr(at, size)))
             .second) {
      throw CutShort(path, fmt::format("storage {} is there twice", key->text));
    }
    at += size;
  }
  return container;
}

}  // namespace

std::optional<torch::Dtype> TypeOfStorage(const std::string& name) {
  const StorageType* type = FindStorageType(name);
  return type == nullptr ? std::nullopt : type->type;
}

PytorchContainer OpenPytorchContainer(const fs::path& path) {
  std::error_code status;
  if (!fs::is_regular_file(path, status)) {
    throw UserError("", "no file {}", path.string());
  }
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  if (bytes.starts_with("version https://git-lfs")) {
    throw UserError("fetch it with `git lfs pull`", "{} is a Git LFS pointer, not the file itself",
                    path.string());
  }
  if (bytes.starts_with("PK")) {
    return OpenZip(path);
  }
  if (bytes.substr(0, kLegacyMagicEnd).find(kLegacyMagic) != std::string_view::npos) {
    return OpenLegacy(path, bytes);
  }
  throw NotPytorch(path, DescribeKind(bytes));
}

}  // namespace hidreamer::formats
