#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace hidreamer::formats {

// What an .npy header says (format versions 1 to 3, little-endian).
struct NpyHeader {
  char kind = 'u';       // 'b' bool, 'u' unsigned, 'i' signed, 'f' float
  int item_bytes = 1;    // 1, 2, 4, 8
  bool fortran = false;  // the first dimension runs fastest
  std::vector<int64_t> shape;
  int64_t items() const;
};

// Fills `out` with the next bytes; throws a user Error at the end of the data.
using ByteSource = std::function<void(std::span<uint8_t> out)>;

// Reads an array's header from `source`; `name` is for messages. Throws a user Error for another
// format, big-endian data and for item types other than numbers.
NpyHeader ReadNpyHeader(const ByteSource& source, const std::string& name);

// Reads all items as doubles, in their order in the file (actions, rewards, dones).
std::vector<double> ReadNpyItems(const ByteSource& source, const NpyHeader& header);

// Items as they lie in the file, as doubles.
void DecodeNpyItems(const NpyHeader& header, std::span<const uint8_t> bytes, double* out);

}  // namespace hidreamer::formats
