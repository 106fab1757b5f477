#include "hidreamer/formats/safetensors.h"

#include <spdlog/spdlog.h>

#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

namespace hidreamer::formats {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kAlignment = 8;
constexpr const char* kMetadataKey = "__metadata__";

struct TypeName {
  torch::Dtype type;
  const char* name;
};
constexpr TypeName kTypes[] = {
    {torch::kFloat64, "F64"},   {torch::kFloat32, "F32"}, {torch::kFloat16, "F16"},
    {torch::kBFloat16, "BF16"}, {torch::kInt64, "I64"},   {torch::kInt32, "I32"},
    {torch::kInt16, "I16"},     {torch::kInt8, "I8"},     {torch::kUInt8, "U8"},
    {torch::kBool, "BOOL"},
};

std::optional<torch::Dtype> TypeOfName(const std::string& name) {
  for (const TypeName& type : kTypes) {
    if (name == type.name) {
      return type.type;
    }
  }
  return std::nullopt;
}

std::string NameOfType(torch::Dtype dtype) {
  for (const TypeName& type : kTypes) {
    if (dtype == type.type) {
      return type.name;
    }
  }
  HID_CHECK(false, "safetensors has no type for {}", toString(dtype));
  return {};
}

Error Malformed(const std::filesystem::path& path, const std::string& what) {
  return UserError("the file is corrupt, was cut short, or is not a safetensors file",
                   "cannot read {}: {}", path.string(), what);
}

// Number of elements of a shape, or nothing if negative or absurd.
std::optional<uint64_t> CountElements(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) {
      return std::nullopt;
    }
    const auto factor = static_cast<uint64_t>(size);
    if (factor != 0 && count > (uint64_t{1} << 48) / factor) {
      return std::nullopt;
    }
    count *= factor;
  }
  return count;
}

void ReadEntry(const std::filesystem::path& path, const std::string& name, const json& entry,
               std::string_view data, SafetensorsFile& file) {
  const auto type_name = entry.at("dtype").get<std::string>();
  const auto shape = entry.at("shape").get<std::vector<int64_t>>();
  const auto begin = entry.at("data_offsets").at(0).get<uint64_t>();
  const auto end = entry.at("data_offsets").at(1).get<uint64_t>();
  const auto count = CountElements(shape);
  const auto dtype = TypeOfName(type_name);
  const bool placed = count && begin <= end && end <= data.size();
  if (!placed || (dtype && end - begin != *count * c10::elementSize(*dtype))) {
    throw Malformed(path, fmt::format("{} does not fit its shape and place ({} bytes of data)",
                                      name, data.size()));
  }
  if (!dtype) {
    spdlog::warn("{}: passed over {}: its type {} is not read", path.string(), name, type_name);
    file.unread.emplace(name, type_name);
    return;
  }
  torch::Tensor tensor = torch::empty(shape, *dtype);
  if (end > begin) {
    std::memcpy(tensor.data_ptr(), data.data() + begin, end - begin);
  }
  if (*dtype == torch::kBool) {  // any other byte would be undefined behaviour in a bool
    for (const char byte : data.substr(begin, end - begin)) {
      if (byte != 0 && byte != 1) {
        throw Malformed(path, fmt::format("{} holds a byte that is neither true nor false", name));
      }
    }
  }
  file.tensors.emplace(name, std::move(tensor));
}

}  // namespace

SafetensorsFile LoadSafetensors(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  if (bytes.size() < kLengthBytes) {
    throw Malformed(path, fmt::format("{} bytes is too short", bytes.size()));
  }
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), kLengthBytes);
  if (header_size > kMaxHeaderBytes || header_size > bytes.size() - kLengthBytes) {
    throw Malformed(path,
                    fmt::format("a header of {} bytes in a file of {}", header_size, bytes.size()));
  }
  const std::string_view data = bytes.substr(kLengthBytes + header_size);
  SafetensorsFile result;
  try {
    const json header = json::parse(bytes.substr(kLengthBytes, header_size));
    for (const auto& [name, entry] : header.items()) {
      if (name == kMetadataKey) {
        result.metadata = entry.get<std::map<std::string, std::string>>();
      } else {
        ReadEntry(path, name, entry, data, result);
      }
    }
  } catch (const json::exception& error) {
    throw Malformed(path, error.what());
  }
  return result;
}

void SaveSafetensors(const std::filesystem::path& path, const TensorMap& tensors,
                     const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) {
    header[kMetadataKey] = metadata;
  }
  std::vector<torch::Tensor> values;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    HID_CHECK(tensor.defined(), "{} is undefined", name);
    HID_CHECK(name != kMetadataKey, "a tensor cannot be named {}", name);
    values.push_back(tensor.detach().to(torch::kCPU).contiguous());
    const uint64_t end = offset + values.back().nbytes();
    header[name] = {{"dtype", NameOfType(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  std::string bytes;
  bytes.reserve(kLengthBytes + text.size() + offset);
  const uint64_t header_size = text.size();
  bytes.append(reinterpret_cast<const char*>(&header_size), kLengthBytes);
  bytes.append(text);
  for (const torch::Tensor& value : values) {
    bytes.append(static_cast<const char*>(value.data_ptr()), value.nbytes());
  }
  WriteFileAtomically(path, bytes);
}

}  // namespace hidreamer::formats
