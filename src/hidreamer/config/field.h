#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace hidreamer::config {

// Which loop trains: stage after stage (hidreamer run), or all of it while it plays (hidreamer
// agent).
inline constexpr char kStaged[] = "staged";
inline constexpr char kOnline[] = "online";

// What a config key is: read, range-checked, dumped and documented from this one description. A
// struct lists its fields in
//   template <typename Visitor> void Visit(Visitor& v) {
//     v({"steps", "agent steps to record", 16, 1e9, "steps"}, steps);
//     v({.name = "mask", .help = "who attends to whom", .choices = {"strict", "causal"}}, mask);
//     v.Only(kOnline);  // those that follow, to the end of the struct
//     v({"overlap", "train and dream at the same time"}, overlap);
//     v.Section("encoder", "help", encoder); }
// A key may be listed once for each schedule, where they differ in range or meaning.
// Field types: int64_t, double, bool, std::string, std::vector<double>, std::vector<std::string>.
// Ranges and choices hold for each element of a list.
struct Field {
  std::string name;
  std::string help;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::string unit = {};
  std::vector<std::string> choices = {};
  std::vector<std::string> formerly = {};  // its dotted keys in older versions
};

// Where a field stands.
struct FieldPlace {
  std::string section = {};       // "": at the top
  std::string section_help = {};  // of the section
  std::string schedule = {};      // "": in both

  std::string Key(const Field& field) const {
    return section.empty() ? field.name : section + "." + field.name;
  }
  bool IsOf(const std::string& of) const { return schedule.empty() || schedule == of; }
};

// The visitor of ForEachField.
template <typename Function>
class FieldWalk {
 public:
  explicit FieldWalk(const Function& function) : function_(function) {}

  void Only(const std::string& schedule) { place_.schedule = schedule; }

  template <typename T>
  void operator()(const Field& field, T& value) {
    function_(place_, field, value);
  }

  template <typename Struct>
  void Section(const std::string& name, const std::string& help, Struct& section) {
    const FieldPlace outer = std::exchange(place_, {name, help, place_.schedule});
    section.Visit(*this);
    place_ = outer;
  }

 private:
  const Function& function_;
  FieldPlace place_;
};

// Calls function(FieldPlace, Field, value) for each field of each schedule, in their order.
template <typename Config, typename Function>
void ForEachField(Config& config, const Function& function) {
  FieldWalk<Function> walk(function);
  config.Visit(walk);
}

}  // namespace hidreamer::config
