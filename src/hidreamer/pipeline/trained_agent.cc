#include "hidreamer/pipeline/trained_agent.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <regex>
#include <set>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/beginnings.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/load.h"
#include "hidreamer/config/presets.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::pipeline {
namespace {

constexpr const char* kModelJson = "model.json";
constexpr const char* kWeights = "agent/model.safetensors";

// Whether a score depends on it, and the table does not say it anyway.
bool IsOfTheSetting(const std::string& key) {
  static const std::set<std::string> others = {
      "game",    "seed",   "schedule",  "threads",
      "overlap", "device", "precision", "checkpoint_seconds"};
  return !others.contains(key) && !key.starts_with("evaluation.");
}

nlohmann::json ReadJson(const std::filesystem::path& path) {
  try {
    return nlohmann::json::parse(ReadFile(path));
  } catch (const nlohmann::json::exception& error) {
    throw UserError("", "{} is damaged: {}", path.string(), error.what());
  }
}

// A command as others can give it: of each path of this machine only its last name.
std::string WithoutPaths(const std::string& command) {
  return std::regex_replace(command, std::regex("(^|[ =])[^ =]*/([^ /]+)(?= |$)"), "$1$2");
}

std::vector<std::string> Differences(const config::Settings& settings,
                                     const config::Settings& preset) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : settings) {
    const auto known = preset.find(key);
    const bool same = known != preset.end() && known->second == value;
    if (!same && IsOfTheSetting(key)) {
      differences.push_back(key + "=" + value);
    }
  }
  return differences;
}

}  // namespace

std::string NameSetting(const config::Settings& settings) {
  const config::Settings today = config::WithKeysOfToday(settings);
  std::string name;
  std::optional<size_t> fewest;
  for (const auto& [preset, text] : config::Presets()) {
    const config::Config config = config::Preset(preset);
    if (config.schedule != config::kOnline) {
      continue;
    }
    const auto differences = Differences(today, config::Flatten(config));
    if (!fewest || differences.size() < *fewest) {
      fewest = differences.size();
      name = preset;
      for (const std::string& difference : differences) {
        name += ", " + difference;
      }
    }
  }
  return name;
}

nlohmann::json ReadModelJson(const std::filesystem::path& run) {
  return std::filesystem::exists(run / kModelJson) ? ReadJson(run / kModelJson)
                                                   : nlohmann::json::object();
}

nlohmann::json DescribeTraining(const std::filesystem::path& run) {
  if (const nlohmann::json model = ReadModelJson(run); !model.empty()) {
    return model.at("trained");
  }
  if (!std::filesystem::exists(run / "agent/stage.json")) {
    return nlohmann::json::object();
  }
  const nlohmann::json stage = ReadJson(run / "agent/stage.json");
  const nlohmann::json journal = ReadJson(run / "run.json");
  try {
    const auto settings = stage.at("settings").get<config::Settings>();
    auto commands = nlohmann::json::array();
    for (const auto& call : journal.at("calls")) {
      const std::string command = WithoutPaths(call.at("command"));
      if (commands.empty() || commands.back() != command) {
        commands.push_back(command);
      }
    }
    return {{"setting", NameSetting(settings)}, {"game", settings.at("game")},
            {"seed", stage.at("seed")},         {"steps", std::stoll(settings.at("steps"))},
            {"seconds", stage.at("seconds")},   {"commands", commands},
            {"machine", journal.at("machine")}, {"precision", journal.at("precision")},
            {"threads", journal.at("threads")}, {"versions", journal.at("versions")}};
  } catch (const std::exception& error) {
    throw UserError("", "{} does not say how the agent was trained: {}", run.string(),
                    error.what());
  }
}

void PackAgent(const std::filesystem::path& run, const std::filesystem::path& directory,
               const std::filesystem::path& scores) {
  const agent::AgentModels models = agent::LoadAgentModels(run);
  const nlohmann::json trained = DescribeTraining(run);
  nlohmann::json scored = ReadJson(scores);
  if (scored.value("trained", nlohmann::json()) != trained) {
    throw UserError("hidreamer eval RUN --json FILE writes them",
                    "the scores of {} are not of the agent in {}", scores.string(), run.string());
  }
  if (std::filesystem::exists(directory) && !std::filesystem::is_empty(directory) &&
      !std::filesystem::exists(directory / kModelJson)) {
    throw UserError("name a new directory", "{} is there and holds no published agent",
                    directory.string());
  }
  const world_model::Steps beginnings = agent::ReadBeginnings(models, run);
  scored.erase("trained");
  formats::TensorMap halves;
  for (const auto& [name, tensor] : formats::NamedState(*models)) {
    if (!name.starts_with(agent::kSlowCritic)) {
      // A rounded tokenizer gives other codes now and then, which all else then takes for changes.
      const bool rounded = tensor.is_floating_point() && !name.starts_with("tokenizer.");
      halves[name] = rounded ? tensor.to(torch::kHalf) : tensor;
    }
  }
  EnsureWritableDirectory(directory / "agent");
  formats::SaveSafetensors(directory / kWeights, halves, {{"options", models->options().ToJson()}});
  agent::SaveBeginnings(beginnings, directory);
  WriteFileAtomically(directory / kModelJson,
                      nlohmann::json{{"trained", trained}, {"scored", scored}}.dump(1) + "\n");
}

std::vector<std::filesystem::path> ModelDirectories() {
  std::vector<std::filesystem::path> all;
  if (const char* own = std::getenv("HIDREAMER_MODELS"); own != nullptr) {
    all.emplace_back(own);
  }
  std::error_code code;
  all.push_back(InstalledData("models"));
  all.emplace_back(std::filesystem::path(HID_SOURCE_DIRECTORY) / "models");
  std::erase_if(all, [&](const auto& path) { return !std::filesystem::is_directory(path, code); });
  return all;
}

std::filesystem::path FindRun(const std::string& name) {
  std::error_code code;
  if (!std::filesystem::exists(name, code) && name.find('/') == std::string::npos) {
    for (const std::filesystem::path& models : ModelDirectories()) {
      if (std::filesystem::exists(models / name / kModelJson, code)) {
        return models / name;
      }
    }
  }
  return name;
}

}  // namespace hidreamer::pipeline
