#include "hidreamer/config/load.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/numbers.h"
#include "hidreamer/config/agent_config.h"
#include "hidreamer/config/check.h"
#include "hidreamer/config/dump.h"
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

// Visits the field lists with one YAML map and takes the keys that are there.
class Reader {
 public:
  // all_keys: dotted keys of the whole config, for suggestions.
  Reader(const Source& source, const YAML::Node& root, const std::vector<std::string>& all_keys,
         Origins& origins)
      : source_(source), node_(root), all_keys_(all_keys), origins_(origins) {}

  template <typename T>
  void operator()(const Field& field, T& value) {
    known_.insert(field.name);
    const YAML::Node node = Find(field.name);
    if (node.IsDefined()) {
      Assign(field, prefix_ + field.name, node, value);
      origins_[prefix_ + field.name] = source_.At(node);
    }
  }

  template <typename Struct>
  void Section(const std::string& name, const std::string& /*help*/, Struct& section) {
    known_.insert(name);
    const YAML::Node node = Find(name);
    if (!node.IsDefined() || node.IsNull()) {
      return;
    }
    Reader reader(source_, node, all_keys_, origins_);
    reader.prefix_ = prefix_ + name + ".";
    if (!node.IsMap()) {
      throw UserError(
          fmt::format("keys of it are written {}.KEY with --set, indented below it in a file",
                      name),
          "{}: {} is a section, not a value", source_.At(node), name);
    }
    section.Visit(reader);
    reader.RejectUnknownKeys();
  }

  // Call after Visit. `extends` is known at the top of a file.
  void RejectUnknownKeys() const {
    std::set<std::string> seen;
    for (const auto& entry : node_) {
      const std::string name = Shown(entry.first);
      const bool extends = prefix_.empty() && name == "extends" && !source_.is_option;
      if (!known_.contains(name) && !extends) {
        throw UserError(Suggestion(name), "{}: unknown key '{}{}'", source_.At(entry.first),
                        prefix_, name);
      }
      if (!seen.insert(name).second) {
        throw UserError("", "{}: '{}{}' is given twice", source_.At(entry.first), prefix_, name);
      }
    }
  }

 private:
  YAML::Node Find(const std::string& name) const {
    for (const auto& entry : node_) {
      if (entry.first.IsScalar() && entry.first.Scalar() == name) {
        return entry.second;
      }
    }
    return YAML::Node(YAML::NodeType::Undefined);
  }

  template <typename T>
  void Assign(const Field& field, const std::string& key, const YAML::Node& node, T& value) const {
    value = ReadScalar<T>(field, key, source_.At(node), node);
  }

  template <typename T>
  void Assign(const Field& field, const std::string& key, const YAML::Node& node,
              std::vector<T>& values) const {
    YAML::Node list = node;
    if (source_.is_option && node.IsScalar()) {
      list = YAML::Load("[" + node.Scalar() + "]");  // --set games=pong,breakout
    }
    if (!list.IsSequence()) {
      throw UserError(fmt::format("write [{}]", Shown(node)), "{}: {} must be a list, not {}",
                      source_.At(node), key, Shown(node));
    }
    values.clear();
    for (const YAML::Node& element : list) {
      values.push_back(ReadScalar<T>(field, key, source_.At(element), element));
    }
  }

  // The nearest key of this section, else the same or a near key of any section.
  std::string Suggestion(const std::string& name) const {
    std::string nearest = NearestName(name, known_);
    if (!nearest.empty()) {
      return fmt::format("did you mean '{}{}'?", prefix_, nearest);
    }
    for (const std::string& key : all_keys_) {
      if (key.substr(key.find('.') + 1) == name) {
        return fmt::format("did you mean '{}'?", key);
      }
    }
    nearest = NearestName(prefix_ + name, all_keys_);
    return nearest.empty() ? "--defaults prints every key"
                           : fmt::format("did you mean '{}'?", nearest);
  }

  const Source& source_;
  YAML::Node node_;
  const std::vector<std::string>& all_keys_;
  Origins& origins_;
  std::string prefix_;
  std::set<std::string> known_;
};

template <typename Config>
class Loader {
 public:
  explicit Loader(const Config& defaults) : config_(defaults), all_keys_(AllKeys(defaults)) {}

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
        throw UserError("", "{}: extends must be a file's name", source.At(parent));
      }
      ApplyFile(base / parent.Scalar());
    }
    Apply(source, root);
  }

  void ApplyFile(const fs::path& path) {
    const fs::path canonical = fs::weakly_canonical(path);
    if (!open_.insert(canonical).second) {
      throw UserError("", "{} extends itself", path.string());
    }
    ApplyText(ReadFile(path), path.string(), path.parent_path());
    open_.erase(canonical);
  }

  void ApplyOptions(const std::vector<std::string>& options) {
    for (const std::string& option : options) {
      ApplyOption(option);
    }
  }

  const Config& config() const { return config_; }
  const Origins& origins() const { return origins_; }

 private:
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
    Reader reader(source, root, all_keys_, origins_);
    config_.Visit(reader);
    reader.RejectUnknownKeys();
  }

  Config config_;
  std::vector<std::string> all_keys_;
  Origins origins_;
  std::set<fs::path> open_;
};

ExperimentConfig Finish(Loader<ExperimentConfig>& loader,
                        const std::vector<std::string>& overrides) {
  loader.ApplyOptions(overrides);
  ExperimentConfig config = loader.config();
  for (auto* games : {&config.games, &config.policy_games}) {
    std::transform(games->begin(), games->end(), games->begin(), env::GameName);
  }
  CheckConfig(config, loader.origins());
  return config;
}

}  // namespace

ExperimentConfig LoadConfig(const fs::path& path, const std::vector<std::string>& overrides) {
  Loader<ExperimentConfig> loader({});
  if (!path.empty()) {
    loader.ApplyFile(path);
  }
  return Finish(loader, overrides);
}

ExperimentConfig ParseConfig(const std::string& text, const std::string& name, const fs::path& base,
                             const std::vector<std::string>& overrides) {
  Loader<ExperimentConfig> loader({});
  loader.ApplyText(text, name, base);
  return Finish(loader, overrides);
}

AgentConfig LoadAgentConfig(const std::string& preset, const std::string& path,
                            const std::vector<std::string>& overrides) {
  Loader<AgentConfig> loader(AgentPreset(preset));
  if (!path.empty()) {
    loader.ApplyFile(path);
  }
  loader.ApplyOptions(overrides);
  AgentConfig config = loader.config();
  config.game = env::GameName(config.game);
  CheckAgentConfig(config);
  return config;
}

}  // namespace hidreamer::config
