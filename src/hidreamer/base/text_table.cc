#include "hidreamer/base/text_table.h"

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace {

// Columns on a terminal, not bytes: UTF-8 continuation bytes do not count.
size_t Columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(rows.front().size());
    HID_CHECK(row.size() == widths.size(), "a row of {} cells in a table of {}", row.size(),
              widths.size());
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Columns(row[i]));
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      text += row[i] + (last ? "\n" : std::string(widths[i] - Columns(row[i]), ' ') + " | ");
    }
  }
  return text;
}

}  // namespace hidreamer
