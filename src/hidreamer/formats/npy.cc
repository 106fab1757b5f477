#include "hidreamer/formats/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "hidreamer/base/error.h"

namespace hidreamer::formats {
namespace {

constexpr int64_t kMostArrayItems = int64_t{1} << 40;

// What follows `'key':` in the header's dictionary, without leading blanks.
std::string_view Value(std::string_view header, const std::string& key, const std::string& name) {
  const size_t found = header.find("'" + key + "'");
  const size_t colon = found == std::string_view::npos ? found : header.find(':', found);
  if (colon == std::string_view::npos) {
    throw UserError("", "array '{}' has no '{}' in its header", name, key);
  }
  std::string_view value = header.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

template <typename T>
double Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<double>(value);
}

double Item(const NpyHeader& header, const uint8_t* bytes) {
  const bool is_signed = header.kind == 'i';
  if (header.kind == 'f') {
    return header.item_bytes == 4 ? Load<float>(bytes) : Load<double>(bytes);
  }
  switch (header.item_bytes) {
    case 1:
      return is_signed ? Load<int8_t>(bytes) : Load<uint8_t>(bytes);
    case 2:
      return is_signed ? Load<int16_t>(bytes) : Load<uint16_t>(bytes);
    case 4:
      return is_signed ? Load<int32_t>(bytes) : Load<uint32_t>(bytes);
    default:
      return is_signed ? Load<int64_t>(bytes) : Load<uint64_t>(bytes);
  }
}

std::vector<int64_t> ParseShape(std::string_view text, const std::string& name) {
  std::vector<int64_t> shape;
  const size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos) {
    throw UserError("", "array '{}' has an unreadable shape", name);
  }
  const char* at = text.data() + 1;
  const char* end = text.data() + close;
  int64_t items = 1;
  while (at < end) {
    if (*at == ' ' || *at == ',' || *at == 'L') {
      ++at;
      continue;
    }
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0 || (size > 0 && items > kMostArrayItems / size)) {
      throw UserError("", "array '{}' has an unreadable shape", name);
    }
    items *= std::max<int64_t>(size, 1);
    shape.push_back(size);
    at = next;
  }
  return shape;
}

}  // namespace

int64_t NpyHeader::items() const {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return count;
}

NpyHeader ReadNpyHeader(const ByteSource& source, const std::string& name) {
  uint8_t start[8] = {};
  source(start);
  if (std::memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3) {
    throw UserError("", "'{}' is not a NumPy array", name);
  }
  uint8_t length_bytes[4] = {};
  source(std::span(length_bytes).first(start[6] == 1 ? 2 : 4));
  uint32_t length = 0;
  std::memcpy(&length, length_bytes, sizeof(length));
  if (length > (1U << 20)) {
    throw UserError("", "array '{}' has a damaged header", name);
  }
  std::vector<uint8_t> text(length);
  source(text);
  const std::string_view header(reinterpret_cast<const char*>(text.data()), text.size());
  const std::string_view type = Value(header, "descr", name);
  NpyHeader result;
  if (type.size() < 4 || type[0] != '\'' || type[1] == '>' ||
      std::string_view("buif").find(type[2]) == std::string_view::npos) {
    throw UserError("numbers in little-endian order are read", "array '{}' has item type {}", name,
                    type.substr(0, type.find(',')));
  }
  result.kind = type[2];
  result.item_bytes = type[3] - '0';
  const bool known_size = result.item_bytes == 1 || result.item_bytes == 2 ||
                          result.item_bytes == 4 || result.item_bytes == 8;
  if (!known_size || (result.kind == 'f' && result.item_bytes < 4)) {
    throw UserError("", "array '{}' has item type {}", name, type.substr(0, type.find(',')));
  }
  result.fortran = Value(header, "fortran_order", name).starts_with("True");
  result.shape = ParseShape(Value(header, "shape", name), name);
  return result;
}

std::vector<double> ReadNpyItems(const ByteSource& source, const NpyHeader& header) {
  constexpr int64_t kChunk = 1 << 16;  // a false shape ends in an Error, not in a huge allocation
  std::vector<double> items;
  std::vector<uint8_t> bytes;
  const auto item_bytes = static_cast<size_t>(header.item_bytes);
  for (int64_t left = header.items(); left > 0;) {
    const int64_t count = std::min(left, kChunk);
    bytes.resize(static_cast<size_t>(count) * item_bytes);
    source(bytes);
    items.resize(items.size() + static_cast<size_t>(count));
    DecodeNpyItems(header, bytes, items.data() + items.size() - count);
    left -= count;
  }
  return items;
}

void DecodeNpyItems(const NpyHeader& header, std::span<const uint8_t> bytes, double* out) {
  const auto item_bytes = static_cast<size_t>(header.item_bytes);
  for (size_t i = 0; i < bytes.size(); i += item_bytes) {
    *out++ = Item(header, bytes.data() + i);
  }
}

}  // namespace hidreamer::formats
