#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "hidreamer/formats/npy.h"

namespace hidreamer::data {

constexpr const char* kExpectedArrays =
    "an .npz with states (N,4,84,84), actions (N), rewards (N) and dones (N) is wanted";

// The arrays of an .npz file, read one after another.
class NpzArchive {
 public:
  // Throws a user Error if the file is missing or no zip archive.
  explicit NpzArchive(const std::filesystem::path& path);
  ~NpzArchive();
  NpzArchive(const NpzArchive&) = delete;
  NpzArchive& operator=(const NpzArchive&) = delete;

  // The one of `names` that is there; "" where none is. Throws a user Error if several are.
  std::string Find(const std::vector<std::string>& names) const;
  // Makes Read() deliver the items of an array. Throws a user Error if it cannot be read.
  formats::NpyHeader Open(const std::string& name);
  // Fills `out`; throws a user Error at the end of the array or where it is damaged.
  void Read(std::span<uint8_t> out);
  // Ends the array that is open; a user Error if it was read whole and its checksum is wrong.
  void Close();
  // An array (N) or (N, 1). Throws a user Error that names it if it is another.
  std::vector<double> ReadColumn(const std::string& name, int64_t rows);

  const std::vector<std::string>& arrays() const { return arrays_; }

 private:
  std::filesystem::path path_;
  void* file_ = nullptr;
  std::vector<std::string> arrays_;  // without ".npy"
};

// "(600, 4, 84, 84)"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace hidreamer::data
