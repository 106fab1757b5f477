#include "hidreamer/config/dump.h"

#include <fmt/format.h>

#include <cmath>
#include <type_traits>

#include "hidreamer/base/seed.h"

namespace hidreamer::config {
namespace {

std::string ToYaml(int64_t value) { return fmt::format("{}", value); }
std::string ToYaml(double value) { return fmt::format("{}", value); }
std::string ToYaml(bool value) { return value ? "true" : "false"; }

// Plain where YAML reads it back as the same text, quoted otherwise.
std::string ToYaml(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_not_of(
                                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789_./-") == std::string::npos;
  if (plain) {
    return value;
  }
  std::string quoted = "'";
  for (const char c : value) {
    quoted += c == '\'' ? std::string("''") : std::string(1, c);
  }
  return quoted + "'";
}

template <typename T>
std::string ToYaml(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) {
    text += (text.size() > 1 ? ", " : "") + ToYaml(value);
  }
  return text + "]";
}

std::string RangeText(const Field& field) {
  std::string text;
  if (!field.choices.empty()) {
    for (const std::string& choice : field.choices) {
      text += (text.empty() ? "" : " | ") + choice;
    }
  } else if (std::isfinite(field.min) && std::isfinite(field.max)) {
    text = fmt::format("{:.15g} to {:.15g}", field.min, field.max);
  } else if (std::isfinite(field.min)) {
    text = fmt::format("at least {:.15g}", field.min);
  }
  return text;
}

class Dumper {
 public:
  template <typename T>
  void operator()(const Field& field, const T& value) {
    const std::string range = RangeText(field);
    std::string facts = field.unit;
    if (!range.empty()) {
      facts += (facts.empty() ? "" : ", ") + range;
    }
    text_ += fmt::format("{}# {}{}\n", indent_, field.help,
                         facts.empty() ? "" : fmt::format(" [{}]", facts));
    text_ += fmt::format("{}{}: {}\n", indent_, field.name, ToYaml(value));
  }

  template <typename Struct>
  void Section(const std::string& name, const std::string& help, Struct& section) {
    text_ += fmt::format("\n# {}\n{}:\n", help, name);
    indent_ = "  ";
    section.Visit(*this);
    indent_.clear();
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string indent_;
};

class Flattener {
 public:
  template <typename T>
  void operator()(const Field& field, const T& value) {
    keys_.push_back(prefix_ + field.name);
    settings_[keys_.back()] = ToYaml(value);
  }

  template <typename Struct>
  void Section(const std::string& name, const std::string& /*help*/, Struct& section) {
    prefix_ = name + ".";
    section.Visit(*this);
    prefix_.clear();
  }

  const Settings& settings() const { return settings_; }
  const std::vector<std::string>& keys() const { return keys_; }

 private:
  Settings settings_;
  std::vector<std::string> keys_;
  std::string prefix_;
};

// Visit is for readers and writers alike, hence the copies.
template <typename Config>
std::string Dump(Config config) {
  Dumper dumper;
  config.Visit(dumper);
  return dumper.text();
}

template <typename Config>
Flattener VisitAll(Config config) {
  Flattener flattener;
  config.Visit(flattener);
  return flattener;
}

}  // namespace

std::string DumpConfig(const ExperimentConfig& config) { return Dump(config); }
std::string DumpConfig(const AgentConfig& config) { return Dump(config); }

Settings Flatten(const ExperimentConfig& config) { return VisitAll(config).settings(); }
Settings Flatten(const AgentConfig& config) { return VisitAll(config).settings(); }

std::vector<std::string> AllKeys(const ExperimentConfig& config) { return VisitAll(config).keys(); }
std::vector<std::string> AllKeys(const AgentConfig& config) { return VisitAll(config).keys(); }

std::string HashSettings(const Settings& settings) {
  std::string text;
  for (const auto& [key, value] : settings) {
    text += key + "=" + value + "\n";
  }
  return fmt::format("{:016x}", SeedTree(0).Stream(text));
}

}  // namespace hidreamer::config
