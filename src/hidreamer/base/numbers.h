#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Numbers as people write them, on the command line and in configs: decimal, whatever the leading
// zeros.
namespace hidreamer {

// The digits of a whole number, without leading zeros: "007" -> "7", "1e5" -> "100000", "-2.50e1"
// -> "-25". Nothing for other texts: "1.5", "0x10", "1_000", "".
std::optional<std::string> DigitsOfWhole(std::string_view text);

// The same as a number; nothing where it does not fit.
std::optional<int64_t> ParseWhole(std::string_view text);

// A finite decimal number: "0.5", "1e-4", "010" (10). Nothing for other texts: "nan", "inf",
// "0x10", "1,5".
std::optional<double> ParseNumber(std::string_view text);

}  // namespace hidreamer
