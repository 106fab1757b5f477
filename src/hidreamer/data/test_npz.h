#pragma once

#include <minizip/zip.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hidreamer/data/test_recording.h"

// NumPy archives for tests.
namespace hidreamer::data {

inline std::string Npy(const std::string& descr, const std::string& shape, const std::string& items,
                       char version = 1, bool fortran = false) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }\n";
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += std::string(version == 1 ? 1 : 3, '\0');
  return bytes + header + items;
}

template <typename T>
std::string Items(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

using Arrays = std::vector<std::pair<std::string, std::string>>;

inline std::filesystem::path WriteNpz(const std::string& name, const Arrays& arrays, int level) {
  const std::filesystem::path path = FreshPath(name);
  const zipFile zip = zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  for (const auto& [array, bytes] : arrays) {
    const zip_fileinfo info = {};
    zipOpenNewFileInZip64(zip, (array + ".npy").c_str(), &info, nullptr, 0, nullptr, 0, nullptr,
                          level == 0 ? 0 : Z_DEFLATED, level, 1);
    zipWriteInFileInZip(zip, bytes.data(), static_cast<unsigned>(bytes.size()));
    zipCloseFileInZip(zip);
  }
  zipClose(zip, nullptr);
  return path;
}

}  // namespace hidreamer::data
