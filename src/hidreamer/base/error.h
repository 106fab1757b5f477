#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace hidreamer {

// The one exception of the project.
//   kUser      the caller can mend it: a bad option, a missing file, a corrupt checkpoint. Printed
//   as message and hint, exit code 2. kInternal  a broken promise of ours: printed with file and
//   line, exit code 70.
class Error : public std::runtime_error {
 public:
  enum class Kind { kUser, kInternal };

  Error(Kind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

  Kind kind() const { return kind_; }
  // What the user can do about it; may be empty.
  const std::string& hint() const { return hint_; }

 private:
  Kind kind_;
  std::string hint_;
};

// Thrown when Ctrl-C was pressed and the work was left in a state that the same command continues.
// Exit code 130.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// throw UserError("hint or empty", "no ROM for '{}'", game)
template <typename... Args>
Error UserError(std::string hint, fmt::format_string<Args...> format, Args&&... args) {
  return Error(Error::Kind::kUser, fmt::format(format, std::forward<Args>(args)...),
               std::move(hint));
}

[[noreturn]] void ThrowCheckFailure(const char* file, int line, const char* condition,
                                    const std::string& message);

// The name in `candidates` nearest to `name` by edit distance, or "" where none is near enough to
// be a slip.
template <typename Range>
std::string NearestName(const std::string& name, const Range& candidates);

// Levenshtein distance.
int EditDistance(const std::string& a, const std::string& b);

template <typename Range>
std::string NearestName(const std::string& name, const Range& candidates) {
  std::string best;
  int best_distance = static_cast<int>(name.size()) / 2 + 2;
  for (const auto& candidate : candidates) {
    const int distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace hidreamer

// Internal consistency check, on in every build type; the message takes fmt arguments: HID_CHECK(n
// > 0, "n = {}", n).
#define HID_CHECK(condition, ...)                                    \
  do {                                                               \
    if (!(condition)) [[unlikely]] {                                 \
      ::hidreamer::ThrowCheckFailure(__FILE__, __LINE__, #condition, \
                                     ::fmt::format("" __VA_ARGS__)); \
    }                                                                \
  } while (false)
