#include "hidreamer/base/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hidreamer {
namespace {

constexpr int64_t kMostZeros = 40;  // that an exponent may add; no integer type has as many digits

// Takes the decimal digits at the front of `text`.
std::string TakeDigits(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string digits(text.substr(0, end));
  text.remove_prefix(end);
  return digits;
}

// Takes `sign` at the front of `text`.
bool Take(std::string_view& text, char sign) {
  const bool there = text.starts_with(sign);
  text.remove_prefix(there ? 1 : 0);
  return there;
}

template <typename T>
std::optional<T> FromChars(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

}  // namespace

std::optional<std::string> DigitsOfWhole(std::string_view text) {
  const bool negative = Take(text, '-');
  if (!negative) {
    Take(text, '+');
  }
  std::string digits = TakeDigits(text);
  std::string fraction;
  if (Take(text, '.')) {
    fraction = TakeDigits(text);
  }
  if (digits.empty() && fraction.empty()) {
    return std::nullopt;
  }
  int64_t exponent = 0;
  if (Take(text, 'e') || Take(text, 'E')) {
    Take(text, '+');
    const auto given = FromChars<int64_t>(text);
    if (!given || std::abs(*given) > kMostZeros) {
      return std::nullopt;
    }
    exponent = *given;
    text = {};
  }
  if (!text.empty()) {
    return std::nullopt;
  }
  digits += fraction;
  exponent -= static_cast<int64_t>(fraction.size());
  for (; exponent > 0; --exponent) {
    digits += '0';
  }
  for (; exponent < 0; ++exponent) {  // what lies behind the point has to be zero
    if (!digits.empty() && digits.back() != '0') {
      return std::nullopt;
    }
    digits.resize(digits.empty() ? 0 : digits.size() - 1);
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) {
    return "0";
  }
  return (negative ? "-" : "") + digits;
}

std::optional<int64_t> ParseWhole(std::string_view text) {
  const auto digits = DigitsOfWhole(text);
  return digits ? FromChars<int64_t>(*digits) : std::nullopt;
}

std::optional<double> ParseNumber(std::string_view text) {
  if (Take(text, '+') && text.starts_with('-')) {
    return std::nullopt;
  }
  const auto value = FromChars<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace hidreamer
