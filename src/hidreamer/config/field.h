#pragma once

#include <limits>
#include <string>
#include <vector>

namespace hidreamer::config {

// What a config key is: read, range-checked, dumped and documented from this one description. A
// struct lists its fields in
//   template <typename Visitor> void Visit(Visitor& v) { v({.name = "steps", …}, steps);
//   v.Section("encoder", "help", encoder); }
// Field types: int64_t, double, bool, std::string, std::vector<double>, std::vector<std::string>.
// Ranges and choices hold for each element of a list.
struct Field {
  std::string name;
  std::string help;
  std::string unit = {};
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};
};

}  // namespace hidreamer::config
