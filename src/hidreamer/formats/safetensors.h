#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "hidreamer/formats/tensor_map.h"

// The safetensors file format (8 bytes header length, JSON header, raw little-endian data), so that
// weights and tokens open in Python too.
namespace hidreamer::formats {

struct SafetensorsFile {
  TensorMap tensors;  // own their memory, on the CPU
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> unread;  // tensors of other types: name, type
};

// Types F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL; tensors of others (F8_E4M3, U16, …) are passed
// over, with a warning. Throws a user Error for a missing, truncated or malformed file.
SafetensorsFile LoadSafetensors(const std::filesystem::path& path);

// Written atomically; names in ascending order, so equal contents give equal bytes.
void SaveSafetensors(const std::filesystem::path& path, const TensorMap& tensors,
                     const std::map<std::string, std::string>& metadata = {});

}  // namespace hidreamer::formats
