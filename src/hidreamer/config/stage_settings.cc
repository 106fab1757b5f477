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

Settings StageSettings(const Config& config, const std::string& stage) {
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

std::string ConfigHash(const Config& config, const std::string& stage) {
  return HashSettings(StageSettings(config, stage));
}

Settings ChangedSettings(const Settings& before, const Settings& now) {
  Settings changed;
  for (const auto& [key, value] : now) {
    const auto old = before.find(key);
    if (old == before.end()) {
      changed[key] = "";
    } else if (old->second != value) {
      changed[key] = old->second;
    }
  }
  for (const auto& [key, value] : before) {
    if (!now.contains(key)) {
      changed[key] = value;
    }
  }
  return changed;
}

bool MayChange(const std::string& key, const std::string& before, const std::string& now) {
  static const std::set<std::string> kKeys = {
      // hidreamer agent
      "steps", "tokenizer.lr", "tokenizer.online_lr", "tokenizer.final_lr", "world_model.matrix_lr",
      "world_model.final_lr_share", "policy.final_entropy",
      // hidreamer run
      "encoder.lr", "encoder.final_lr", "encoder.clip_norm", "encoder.epochs", "tokenizer.epochs",
      "world_model.final_lr", "world_model.epochs", "world_model.validation_windows",
      "policy.updates",
      // both
      "world_model.lr", "world_model.warmup_updates", "world_model.clip_norm", "policy.lr",
      "policy.clip_norm", "policy.entropy"};
  if (before.empty() || now.empty()) {
    return false;
  }
  if (key == "world_model.matrix_lr" && (before == "0") != (now == "0")) {
    return false;  // another optimizer
  }
  return kKeys.contains(key) || key.starts_with("evaluation.");
}

std::string DescribeChange(const Settings& before, const Settings& now) {
  constexpr int kShown = 4;
  const auto value_of = [](const Settings& settings, const std::string& key) {
    const auto found = settings.find(key);
    return found == settings.end() ? std::string("not there") : found->second;
  };
  std::string text;
  int changes = 0;
  for (const auto& [key, old] : ChangedSettings(before, now)) {
    if (++changes <= kShown) {
      text += fmt::format("{}{}: {} before, {} now", text.empty() ? "" : "; ", key,
                          value_of(before, key), value_of(now, key));
    }
  }
  return changes > kShown ? fmt::format("{}; and {} more", text, changes - kShown) : text;
}

}  // namespace hidreamer::config
