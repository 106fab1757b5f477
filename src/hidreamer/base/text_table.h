#pragma once

#include <string>
#include <vector>

namespace hidreamer {

// Rows of cells as aligned columns, "a | b | c\n" each; every row has as many cells as the first.
// Widths count characters, not the bytes of UTF-8.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace hidreamer
