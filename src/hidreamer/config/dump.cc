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

}  // namespace

std::string DumpConfig(Config config) {
  std::string text, section;
  ForEachField(config, [&](const FieldPlace& place, const Field& field, const auto& value) {
    if (!place.IsOf(config.schedule)) {
      return;
    }
    if (place.section != section) {
      section = place.section;
      text += fmt::format("\n# {}\n{}:\n", place.section_help, section);
    }
    const std::string indent = section.empty() ? "" : "  ";
    const std::string range = RangeText(field);
    std::string facts = field.unit;
    if (!range.empty()) {
      facts += (facts.empty() ? "" : ", ") + range;
    }
    text += fmt::format("{}# {}{}\n", indent, field.help,
                        facts.empty() ? "" : fmt::format(" [{}]", facts));
    text += fmt::format("{}{}: {}\n", indent, field.name, ToYaml(value));
  });
  return text;
}

Settings Flatten(Config config) {
  Settings settings;
  ForEachField(config, [&](const FieldPlace& place, const Field& field, const auto& value) {
    if (place.IsOf(config.schedule)) {
      settings[place.Key(field)] = ToYaml(value);
    }
  });
  return settings;
}

std::vector<std::string> AllKeys(const std::string& schedule) {
  std::vector<std::string> keys;
  Config config;
  ForEachField(config, [&](const FieldPlace& place, const Field& field, const auto&) {
    if (place.IsOf(schedule)) {
      keys.push_back(place.Key(field));
    }
  });
  return keys;
}

const std::map<std::string, std::string>& FormerKeys() {
  static const auto keys = [] {
    std::map<std::string, std::string> found;
    Config config;
    ForEachField(config, [&](const FieldPlace& place, const Field& field, const auto&) {
      for (const std::string& former : field.formerly) {
        found[former] = place.Key(field);
      }
    });
    return found;
  }();
  return keys;
}

Settings WithKeysOfToday(const Settings& settings) {
  Settings today;
  for (const auto& [key, value] : settings) {
    const auto now = FormerKeys().find(key);
    today[now == FormerKeys().end() ? key : now->second] = value;
  }
  return today;
}

std::string HashSettings(const Settings& settings) {
  std::string text;
  for (const auto& [key, value] : settings) {
    text += key + "=" + value + "\n";
  }
  return fmt::format("{:016x}", SeedTree(0).Stream(text));
}

}  // namespace hidreamer::config
