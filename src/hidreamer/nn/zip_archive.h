#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace hidreamer::nn {

// All entries of an uncompressed zip archive (the container of PyTorch's .pt files), by name.
// Throws a user Error for a missing, truncated, damaged (CRC) or compressed archive.
std::map<std::string, std::string> ReadStoredZip(const std::filesystem::path& path);

}  // namespace hidreamer::nn
