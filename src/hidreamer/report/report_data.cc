#include "hidreamer/report/report_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/report/metrics_file.h"

namespace hidreamer::report {
namespace {

namespace fs = std::filesystem;

nlohmann::json ReadJson(const fs::path& path) {
  if (!fs::exists(path)) {
    return {};
  }
  auto object = nlohmann::json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    spdlog::warn("{} is not JSON; the report leaves it out", path.string());
    return {};
  }
  return object;
}

// Names of the entries of a directory that `wanted` accepts, ascending.
std::vector<std::string> List(const fs::path& directory, bool (*wanted)(const fs::path&)) {
  std::vector<std::string> names;
  if (fs::is_directory(directory)) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (wanted(entry.path())) {
        names.push_back(entry.path().filename().string());
      }
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

StageData LoadStage(const fs::path& run, const std::string& name) {
  const fs::path directory = run / name;
  StageData stage{.name = name, .done = fs::exists(directory / "stage.json")};
  stage.stage = ReadJson(directory / "stage.json");
  MetricsFile metrics(directory / "metrics.jsonl");
  metrics.Follow();
  stage.metrics = metrics.records();
  try {
    stage.figures = evaluation::ReadFigures(directory / "figures.json");
  } catch (const Error& error) {
    spdlog::warn("{}", error.what());
  }
  return stage;
}

// Opens a game's store when its first frame is asked for and keeps it.
class FrameSource {
 public:
  explicit FrameSource(fs::path data) : data_(std::move(data)) {}

  Image Frame(const std::string& game, int64_t row) {
    auto found = stores_.find(game);
    if (found == stores_.end()) {
      std::unique_ptr<data::EpisodeStore> store;
      try {
        store = std::make_unique<data::EpisodeStore>(data_ / game);
      } catch (const Error& error) {
        spdlog::warn("no frames of {}: {}", game, error.what());
      }
      found = stores_.emplace(game, std::move(store)).first;
    }
    if (!found->second || row < 0 || row >= found->second->size()) {
      return {};
    }
    Image image(env::kFrameSize, env::kFrameSize);
    found->second->ReadFrames(row, row + 1, image.pixels.data());
    return image;
  }

 private:
  fs::path data_;
  std::map<std::string, std::unique_ptr<data::EpisodeStore>> stores_;
};

}  // namespace

std::vector<std::pair<std::string, const nlohmann::json*>> ReportData::PartsOf(
    const std::string& prefix) const {
  std::vector<std::pair<std::string, const nlohmann::json*>> found;
  for (const auto& [name, object] : parts) {
    if (name.starts_with(prefix)) {
      found.emplace_back(name, &object);
    }
  }
  return found;
}

const nlohmann::json* ReportData::Part(const std::string& name) const {
  const auto found = parts.find(name);
  return found == parts.end() ? nullptr : &found->second;
}

std::vector<std::string> StagesOf(const fs::path& run) {
  std::vector<std::string> stages;
  for (const char* name : {"agent", "encoder", "tokenizer", "single_vq", "world_model",
                           "world_model_windows", "world_model_episode"}) {
    if (fs::is_directory(run / name)) {
      stages.emplace_back(name);
    }
  }
  for (const auto& game :
       List(run / "policy", [](const fs::path& p) { return fs::is_directory(p); })) {
    stages.push_back("policy/" + game);
  }
  return stages;
}

nlohmann::json CurveOf(const std::vector<nlohmann::json>& metrics, const std::string& over) {
  const char* axis = over == "steps" ? "env_steps" : "step";
  nlohmann::json curve = {{"over", over},
                          {"steps", 0},
                          {"training_games", nlohmann::json::array()},
                          {"evaluations", nlohmann::json::array()}};
  for (const nlohmann::json& record : metrics) {
    const nlohmann::json step = record.value(axis, nlohmann::json());
    if (record.contains("game_score")) {
      curve["training_games"].push_back({{"step", step}, {"score", record["game_score"]}});
    }
    if (record.contains("score")) {
      curve["evaluations"].push_back({{"step", step},
                                      {"score", record["score"]},
                                      {"score_error", record["score_error"]},
                                      {"games", record["score_games"]}});
      curve["steps"] = step;
    }
    if (record.contains("random_score")) {
      curve["random"] = {{"score", record["random_score"]},
                         {"score_error", record["random_score_error"]},
                         {"games", record["random_score_games"]}};
    }
  }
  return curve;
}

ReportData LoadReportData(const fs::path& run) {
  if (!fs::is_directory(run)) {
    throw UserError("give the directory of a run: hidreamer run CONFIG --out DIR makes one",
                    "no run directory {}", run.string());
  }
  ReportData data;
  data.title = fs::weakly_canonical(run).filename().string();
  data.run = ReadJson(run / "run.json");
  if (fs::exists(run / "config.yaml")) {
    data.config = ReadFile(run / "config.yaml");
  }
  try {
    data.figures = evaluation::ReadFigures(run / "summary.json");
  } catch (const Error& error) {
    spdlog::warn("{}", error.what());
  }
  data.is_agent = fs::is_directory(run / "agent");
  data.curve = ReadJson(run / "agent" / "curve.json");
  if (const fs::path dream = run / "agent" / "dream.webp"; fs::exists(dream)) {
    data.dream_animation = ReadFile(dream);
  }
  for (const std::string& name : StagesOf(run)) {
    data.stages.push_back(LoadStage(run, name));
  }
  if (data.curve.is_null() && data.is_agent) {
    data.curve = CurveOf(data.stages.front().metrics, "steps");
  }
  for (const auto& file :
       List(run / "evaluation", [](const fs::path& p) { return p.extension() == ".json"; })) {
    if (auto object = ReadJson(run / "evaluation" / file); object.is_object()) {
      data.parts[fs::path(file).stem().string()] = std::move(object);
    }
  }
  auto source = std::make_shared<FrameSource>(run / "data");
  data.frame = [source](const std::string& game, int64_t row) { return source->Frame(game, row); };
  return data;
}

}  // namespace hidreamer::report
