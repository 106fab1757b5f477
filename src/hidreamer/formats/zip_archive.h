#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace hidreamer::formats {

// All uncompressed entries of a zip archive (the container of PyTorch's .pt files), by name. Throws
// a user Error for a missing, truncated or damaged (CRC) archive.
std::map<std::string, std::string> ReadStoredZip(const std::filesystem::path& path);

}  // namespace hidreamer::formats
