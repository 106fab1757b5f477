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

}  // namespace

std::string DumpConfig(const ExperimentConfig& config) {
  ExperimentConfig copy = config;  // Visit is for readers and writers alike, hence not const
  Dumper dumper;
  copy.Visit(dumper);
  return dumper.text();
}

Settings Flatten(const ExperimentConfig& config) {
  ExperimentConfig copy = config;
  Flattener flattener;
  copy.Visit(flattener);
  return flattener.settings();
}

std::vector<std::string> AllKeys() {
  ExperimentConfig config;
  Flattener flattener;
  config.Visit(flattener);
  return flattener.keys();
}

std::string HashSettings(const Settings& settings) {
  std::string text;
  for (const auto& [key, value] : settings) {
    text += key + "=" + value + "\n";
  }
  return fmt::format("{:016x}", SeedTree(0).Stream(text));
}

}  // namespace hidreamer::config
