#include "hidreamer/config/stage_settings.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

// What each stage reads beyond the stages before it: sections and top-level keys.
struct StageReads {
  std::string stage;
  std::vector<std::string> names;
};

const std::array<StageReads, 9>& Stages() {
  static const std::array<StageReads, 9> stages = {{
      {"collect", {"seed", "collect"}},
      {"encoder", {"games", "split", "encoder"}},
      {"embed", {}},
      {"tokenizer", {"tokenizer"}},
      {"tokenize", {}},
      {"world_model", {"world_model"}},
      {"policy", {"policy"}},
      {"evaluate", {"policy_games", "evaluation"}},
      {"report", {}},
  }};
  return stages;
}

}  // namespace

Settings StageSettings(const ExperimentConfig& config, const std::string& stage) {
  std::set<std::string> names;
  bool found = false;
  for (const StageReads& reads : Stages()) {
    names.insert(reads.names.begin(), reads.names.end());
    if (reads.stage == stage) {
      found = true;
      break;
    }
  }
  HID_CHECK(found, "no stage '{}'", stage);
  Settings settings;
  for (const auto& [key, value] : Flatten(config)) {
    if (names.contains(key.substr(0, key.find('.')))) {
      settings[key] = value;
    }
  }
  return settings;
}

std::string ConfigHash(const ExperimentConfig& config, const std::string& stage) {
  return HashSettings(StageSettings(config, stage));
}

std::string DescribeChange(const Settings& before, const Settings& now) {
  constexpr int kShown = 4;
  std::string text;
  int changes = 0;
  const auto describe = [&](const std::string& key, const std::string& was, const std::string& is) {
    if (++changes <= kShown) {
      text += fmt::format("{}{}: {} before, {} now", text.empty() ? "" : "; ", key, was, is);
    }
  };
  for (const auto& [key, value] : now) {
    const auto old = before.find(key);
    if (old == before.end()) {
      describe(key, "not there", value);
    } else if (old->second != value) {
      describe(key, old->second, value);
    }
  }
  for (const auto& [key, value] : before) {
    if (!now.contains(key)) {
      describe(key, value, "not there");
    }
  }
  return changes > kShown ? fmt::format("{}; and {} more", text, changes - kShown) : text;
}

}  // namespace hidreamer::config
