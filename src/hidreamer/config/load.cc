#include "hidreamer/config/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/numbers.h"
#include "hidreamer/config/check.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/presets.h"
#include "hidreamer/env/game_name.h"

namespace hidreamer::config {
namespace fs = std::filesystem;

namespace {

// Where a YAML text came from: a file, whose lines are named, or one --set option.
struct Source {
  std::string name;
  bool is_option = false;

  std::string At(const YAML::Node& node) const {
    return is_option || node.Mark().is_null() ? name
                                              : fmt::format("{}:{}", name, node.Mark().line + 1);
  }
};

// "[a, b]" for lists in messages, the scalar's text otherwise.
std::string Shown(const YAML::Node& node) {
  YAML::Emitter emitter;
  emitter << YAML::Flow << node;
  return emitter.c_str();
}

const char* TypeName(const int64_t&) { return "a whole number"; }
const char* TypeName(const double&) { return "a number"; }
const char* TypeName(const bool&) { return "true or false"; }
const char* TypeName(const std::string&) { return "a text"; }

bool Convert(const YAML::Node& node, std::string& value) {
  if (!node.IsScalar()) {
    return false;
  }
  value = node.Scalar();
  return true;
}

bool Convert(const YAML::Node& node, bool& value) {
  return node.IsScalar() && YAML::convert<bool>::decode(node, value);
}

// Numbers are decimal: to YAML 1.1, 010 is 8.
bool Convert(const YAML::Node& node, double& value) {
  const auto number = node.IsScalar() ? ParseNumber(node.Scalar()) : std::nullopt;
  value = number.value_or(0);
  return number.has_value();
}

bool Convert(const YAML::Node& node, int64_t& value) {
  const auto number = node.IsScalar() ? ParseWhole(node.Scalar()) : std::nullopt;
  value = number.value_or(0);
  return number.has_value();
}

template <typename T>
void CheckRange(const Field& field, const std::string& key, const std::string& at, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!field.choices.empty() &&
        std::find(field.choices.begin(), field.choices.end(), value) == field.choices.end()) {
      const std::string nearest = NearestName(value, field.choices);
      throw UserError(nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest),
                      "{}: {} is '{}', but must be one of {}", at, key, value,
                      fmt::join(field.choices, ", "));
    }
  } else if constexpr (!std::is_same_v<T, bool>) {
    const auto number = static_cast<double>(value);
    if (number < field.min || number > field.max) {
      throw UserError("", "{}: {} = {} is out of range, {:.15g} to {:.15g}{}", at, key, value,
                      field.min, field.max, field.unit.empty() ? "" : " " + field.unit);
    }
  }
}

template <typename T>
T ReadScalar(const Field& field, const std::string& key, const std::string& at,
             const YAML::Node& node) {
  T value{};
  if (!Convert(node, value)) {
    throw UserError("", "{}: {} must be {}, not {}", at, key, TypeName(value), Shown(node));
  }
  CheckRange(field, key, at, value);
  return value;
}

template <typename T>
void Read(const Source& source, const Field& field, const std::string& key, const YAML::Node& node,
          T& value) {
  value = ReadScalar<T>(field, key, source.At(node), node);
}

template <typename T>
void Read(const Source& source, const Field& field, const std::string& key, const YAML::Node& node,
          std::vector<T>& values) {
  YAML::Node list = node;
  if (source.is_option && node.IsScalar()) {
    list = YAML::Load("[" + node.Scalar() + "]");  // --set games=pong,breakout
  }
  if (!list.IsSequence()) {
    throw UserError(fmt::format("write [{}]", Shown(node)), "{}: {} must be a list, not {}",
                    source.At(node), key, Shown(node));
  }
  values.clear();
  for (const YAML::Node& element : list) {
    values.push_back(ReadScalar<T>(field, key, source.At(element), element));
  }
}

// "world_model.width" -> {"world_model", "width"}, "seed" -> {"", "seed"}.
std::pair<std::string, std::string> SplitKey(const std::string& key) {
  const size_t dot = key.find('.');
  return dot == std::string::npos ? std::pair{std::string(), key}
                                  : std::pair{key.substr(0, dot), key.substr(dot + 1)};
}

// What stands in a map under a name. Undefined where nothing does.
YAML::Node Find(const YAML::Node& map, const std::string& name) {
  if (map.IsMap()) {
    for (const auto& entry : map) {
      if (entry.first.IsScalar() && entry.first.Scalar() == name) {
        return entry.second;
      }
    }
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

YAML::Node FindKey(const YAML::Node& root, const std::string& key) {
  const auto [section, name] = SplitKey(key);
  return Find(section.empty() ? root : Find(root, section), name);
}

// Gives keys of older versions the names of today.
void RenameFormerKeys(const Source& source, YAML::Node root) {
  for (const auto& [former, now] : FormerKeys()) {
    const YAML::Node value = FindKey(root, former);
    const auto [section, name] = SplitKey(now);
    const YAML::Node parent = Find(root, section);
    const bool is_value = parent.IsDefined() && !parent.IsMap() && !parent.IsNull();
    if (!value.IsDefined() || is_value) {
      continue;
    }
    if (FindKey(root, now).IsDefined()) {
      throw UserError("give one of them", "{}: {} is what {} was called, which is given too",
                      source.At(value), former, now);
    }
    if (source.is_option) {
      spdlog::warn("{}: {} is called {} now", source.name, former, now);
    }
    YAML::Node to = section.empty() ? root : root[section];
    to[name] = value;
    const auto [former_section, former_name] = SplitKey(former);
    YAML::Node from = former_section.empty() ? root : root[former_section];
    from.remove(former_name);
  }
}

// The keys of a schedule: names by section, "" for the top, where the sections stand too.
class KeyNames {
 public:
  explicit KeyNames(const std::string& schedule) : all_(AllKeys(schedule)) {
    for (const std::string& key : all_) {
      const auto [section, name] = SplitKey(key);
      names_[section].insert(name);
      names_[""].insert(section.empty() ? name : section);
    }
  }

  bool IsSection(const std::string& name) const { return !name.empty() && names_.contains(name); }
  bool Holds(const std::string& section, const std::string& name) const {
    const auto names = names_.find(section);
    return names != names_.end() && names->second.contains(name);
  }

  // The nearest name of this section, else the same or a near one of any section.
  std::string Suggestion(const std::string& section, const std::string& name) const {
    const std::string prefix = section.empty() ? "" : section + ".";
    std::string nearest = NearestName(name, names_.at(section));
    if (!nearest.empty()) {
      return fmt::format("did you mean '{}{}'?", prefix, nearest);
    }
    for (const std::string& key : all_) {
      if (SplitKey(key).second == name) {
        return fmt::format("did you mean '{}'?", key);
      }
    }
    nearest = NearestName(prefix + name, all_);
    return nearest.empty() ? "--defaults prints every key"
                           : fmt::format("did you mean '{}'?", nearest);
  }

 private:
  std::vector<std::string> all_;
  std::map<std::string, std::set<std::string>> names_;
};

// Throws a user Error for keys that the schedule has not, and those that are given twice.
void CheckKeys(const Source& source, const YAML::Node& map, const std::string& schedule,
               const KeyNames& known, const std::string& section = "") {
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const std::string name = Shown(entry.first);
    const std::string key = section.empty() ? name : section + "." + name;
    const std::string at = source.At(entry.first);
    const bool extends = section.empty() && name == "extends" && !source.is_option;
    if (!known.Holds(section, name) && !extends) {
      const bool staged = schedule == kStaged;
      if (KeyNames(staged ? kOnline : kStaged).Holds(section, name)) {
        throw UserError(staged ? "hidreamer agent has it" : "hidreamer run has it",
                        "{}: '{}' means nothing under schedule: {}", at, key, schedule);
      }
      throw UserError(known.Suggestion(section, name), "{}: unknown key '{}'", at, key);
    }
    if (!seen.insert(name).second) {
      throw UserError("", "{}: '{}' is given twice", at, key);
    }
    if (section.empty() && known.IsSection(name) && !entry.second.IsNull()) {
      if (!entry.second.IsMap()) {
        throw UserError(
            fmt::format("keys of it are written {}.KEY with --set, indented below it in a file",
                        name),
            "{}: {} is a section, not a value", source.At(entry.second), name);
      }
      CheckKeys(source, entry.second, schedule, known, name);
    }
  }
}

class Loader {
 public:
  void ApplyText(const std::string& text, const std::string& name, const fs::path& base) {
    YAML::Node root;
    try {
      root = YAML::Load(text);
    } catch (const YAML::Exception& error) {
      throw UserError("", "{}:{}: {}", name, error.mark.line + 1, error.msg);
    }
    const Source source{.name = name};
    if (root.IsNull()) {
      return;
    }
    if (!root.IsMap()) {
      throw UserError("a config is lines of the form key: value", "{}: not a map of keys", name);
    }
    if (const YAML::Node parent = root["extends"]; parent.IsDefined()) {
      if (!parent.IsScalar()) {
        throw UserError("", "{}: extends must be the name of a file or a preset",
                        source.At(parent));
      }
      ApplyFile(parent.Scalar(), base);
    }
    Apply(source, root);
  }

  // Throws a user Error for an unknown name.
  void ApplyPreset(const std::string& name) {
    const auto preset = Presets().find(name);
    if (preset == Presets().end()) {
      std::vector<std::string> names;
      for (const auto& entry : Presets()) {
        names.push_back(entry.first);
      }
      throw UserError(fmt::format("{}", fmt::join(names, ", ")), "no preset '{}'", name);
    }
    Nested(name, [&] { ApplyText(preset->second, name + ".yaml", "."); });
  }

  // A preset's name, or a file, relative to `base`.
  void ApplyFile(const fs::path& file, const fs::path& base = {}) {
    if (Presets().contains(file.string())) {
      ApplyPreset(file.string());
      return;
    }
    const fs::path path = base / file;
    Nested(fs::weakly_canonical(path),
           [&] { ApplyText(ReadFile(path), path.string(), path.parent_path()); });
  }

  void ApplyOptions(const std::vector<std::string>& options) {
    for (const std::string& option : options) {
      ApplyOption(option);
    }
  }

  const Config& config() const { return config_; }

  Config Finish(const std::string& schedule) const {
    if (config_.schedule != schedule) {
      const auto origin = origins_.find("schedule");
      throw UserError(schedule == kStaged ? "hidreamer agent takes it" : "hidreamer run takes it",
                      "{}: schedule is {}, not {}",
                      origin == origins_.end() ? "defaults" : origin->second, config_.schedule,
                      schedule);
    }
    Config config = config_;
    for (auto* games : {&config.games, &config.policy_games}) {
      std::transform(games->begin(), games->end(), games->begin(), env::GameName);
    }
    config.game = env::GameName(config.game);
    CheckConfig(config, origins_);
    return config;
  }

 private:
  // Keeps a file from extending itself.
  template <typename Function>
  void Nested(const fs::path& name, const Function& apply) {
    if (!open_.insert(name).second) {
      throw UserError("", "{} extends itself", name.string());
    }
    apply();
    open_.erase(name);
  }

  // "world_model.width=192".
  void ApplyOption(const std::string& option) {
    const Source source{.name = fmt::format("--set {}", option), .is_option = true};
    const size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UserError("for example --set world_model.width=192", "{}: not of the form key=value",
                      source.name);
    }
    YAML::Node node;
    try {
      node = YAML::Load(option.substr(equals + 1));
    } catch (const YAML::Exception& error) {
      throw UserError("", "{}: {}", source.name, error.msg);
    }
    std::string key = option.substr(0, equals);
    for (size_t dot = key.rfind('.'); true; dot = key.rfind('.')) {
      YAML::Node parent(YAML::NodeType::Map);
      parent[dot == std::string::npos ? key : key.substr(dot + 1)] = node;
      node = parent;
      if (dot == std::string::npos) {
        break;
      }
      key.resize(dot);
    }
    Apply(source, node);
  }

  void Apply(const Source& source, const YAML::Node& root) {
    RenameFormerKeys(source, root);
    if (const YAML::Node schedule = Find(root, "schedule");
        schedule.IsScalar() && (schedule.Scalar() == kStaged || schedule.Scalar() == kOnline)) {
      config_.schedule = schedule.Scalar();  // which says what keys there are
    }
    CheckKeys(source, root, config_.schedule, KeyNames(config_.schedule));
    ForEachField(config_, [&](const FieldPlace& place, const Field& field, auto& value) {
      const std::string key = place.Key(field);
      const YAML::Node node = FindKey(root, key);
      if (node.IsDefined() && place.IsOf(config_.schedule)) {
        Read(source, field, key, node, value);
        origins_[key] = source.At(node);
      }
    });
  }

  Config config_;
  Origins origins_;
  std::set<fs::path> open_;
};

// A path that does not exist here may be that of a config which is installed with the program:
// configs/seed.yaml.
fs::path FindConfig(const fs::path& path) {
  std::error_code code;
  return path.is_relative() && !fs::exists(path, code) && fs::exists(InstalledData(path), code)
             ? InstalledData(path)
             : path;
}

}  // namespace

Config LoadConfig(const std::string& schedule, const ConfigLayers& layers) {
  Loader loader;
  if (!layers.preset.empty() || schedule == kOnline) {
    loader.ApplyPreset(layers.preset.empty() ? "cpu" : layers.preset);
  }
  if (!layers.file.empty()) {
    loader.ApplyFile(FindConfig(layers.file));
  }
  loader.ApplyOptions(layers.overrides);
  return loader.Finish(schedule);
}

Config Preset(const std::string& name) {
  Loader loader;
  loader.ApplyPreset(name);
  return loader.Finish(loader.config().schedule);
}

Config ParseConfig(const std::string& text, const std::string& name,
                   const std::vector<std::string>& overrides) {
  Loader loader;
  loader.ApplyText(text, name, ".");
  loader.ApplyOptions(overrides);
  return loader.Finish(kStaged);
}

}  // namespace hidreamer::config
