#include "hidreamer/pipeline/agent_stage.h"

#include <nlohmann/json.hpp>

#include "hidreamer/agent/load_agent.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/agent_film.h"
#include "hidreamer/report/image.h"
#include "hidreamer/report/report_data.h"

namespace hidreamer::pipeline {

StageRecord AgentStage(const config::Config& config, const std::filesystem::path& run) {
  StageRecord stage{.name = "agent",
                    .folder = run / "agent",
                    .settings = config::Flatten(config),
                    .defaults = config::Flatten(config::Preset("cpu"))};
  stage.defaults["tokenizer.freeze_after"] = "0";  // before it was known, nothing was frozen
  // Where the work is done and how often it is saved do not change what is learned.
  for (const char* key : {"schedule", "threads", "device", "precision", "checkpoint_seconds"}) {
    stage.settings.erase(key);
  }
  return stage;
}

RunJournal::Work AgentWork(const config::Config& config, const std::string& command) {
  return {.command = command,
          .config_text = config::DumpConfig(config),
          .threads = config.threads,
          .device = config.device,
          .precision = config.precision,
          .checkpoint_seconds = config.checkpoint_seconds,
          .choose_precision =
              [config](torch::Device device) {
                return layers::ChoosePrecision(
                    config.precision, config.world_model.batch * config.world_model.window * 8,
                    config.world_model.width, device);
              },
          .facts = {{"seed", config.seed}, {"games", {config.game}}}};
}

void WriteCurve(const std::filesystem::path& run, const config::Config& config,
                const std::vector<agent::TrainingGame>& games, CurveOver over) {
  auto played = nlohmann::json::array();
  for (const agent::TrainingGame& game : games) {
    played.push_back({{"step", game.step}, {"score", game.score}, {"length", game.length}});
  }
  const bool steps = over == CurveOver::kSteps;
  nlohmann::json curve =
      report::CurveOf(ReadJsonLines(run / "agent/metrics.jsonl"), steps ? "steps" : "updates");
  curve.update({{"game", config.game}, {"seed", config.seed}, {"training_games", played}});
  if (steps) {
    curve["steps"] = config.steps;
  }
  WriteFileAtomically(run / "agent/curve.json", curve.dump(1) + "\n");
}

void WriteFilm(const std::filesystem::path& run, const config::Config& config) {
  const auto film = FilmAgent(agent::LoadAgent(run, ""),
                              env::MakeEnvironment(config.game, config.collect.protocol), {});
  WriteFileAtomically(run / "agent/dream.webp",
                      report::EncodeWebpAnimation(film, kFilmMilliseconds));
}

}  // namespace hidreamer::pipeline
