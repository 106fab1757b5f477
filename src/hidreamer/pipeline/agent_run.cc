#include "hidreamer/pipeline/agent_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hidreamer/agent/online_learner.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/stage_settings.h"
#include "hidreamer/pipeline/run_journal.h"
#include "hidreamer/pipeline/training_loop.h"

namespace hidreamer::pipeline {
namespace {

// Training games and the evaluations on the way, by real steps.
void WriteCurve(const std::filesystem::path& directory, const config::AgentConfig& config,
                const agent::OnlineLearner& learner) {
  auto games = nlohmann::json::array();
  for (const agent::TrainingGame& game : learner.games()) {
    games.push_back({{"step", game.step}, {"score", game.score}, {"length", game.length}});
  }
  auto evaluations = nlohmann::json::array();
  for (const nlohmann::json& record : ReadJsonLines(directory / "metrics.jsonl")) {
    if (record.contains("score")) {
      evaluations.push_back({{"step", record["env_steps"]},
                             {"score", record["score"]},
                             {"score_error", record["score_error"]},
                             {"games", record["score_games"]}});
    }
  }
  const nlohmann::json curve = {{"game", config.game},
                                {"seed", config.seed},
                                {"steps", config.steps},
                                {"training_games", games},
                                {"evaluations", evaluations}};
  WriteFileAtomically(directory / "curve.json", curve.dump(1) + "\n");
}

// RUN/agent/settings.json: {"settings": {…}, "done": bool}, from the first moment on. True where
// the run is finished; throws a user Error where it was begun with other settings.
bool IsDone(const std::filesystem::path& directory, const config::Settings& settings) {
  const nlohmann::json record = ReadJsonObject(directory / "settings.json");
  if (!record.contains("settings")) {
    return false;
  }
  const auto before = record["settings"].get<config::Settings>();
  if (before != settings) {
    throw UserError("choose another --out", "the agent in {} has other settings: {}",
                    directory.string(), config::DescribeChange(before, settings));
  }
  return record.value("done", false);
}

void Note(const std::filesystem::path& directory, const config::Settings& settings, bool done) {
  const nlohmann::json record = {{"settings", settings}, {"done", done}};
  WriteFileAtomically(directory / "settings.json", record.dump(1) + "\n");
}

}  // namespace

void RunAgent(const config::AgentConfig& config, const AgentRunOptions& options) {
  RunJournal journal(options.directory);
  // Where the work is done and how often it is saved do not change what is learned.
  config::Settings settings = config::Flatten(config);
  for (const char* key : {"threads", "precision", "checkpoint_seconds"}) {
    settings.erase(key);
  }
  const std::filesystem::path directory = journal.path() / "agent";
  if (IsDone(directory, settings)) {
    spdlog::info("{} steps of {} were done before", config.steps, config.game);
    return;
  }
  journal.StartWork({.command = options.command,
                     .config_text = config::DumpConfig(config),
                     .threads = config.threads,
                     .choose_precision =
                         [&] {
                           return nn::ChoosePrecision(
                               config.precision,
                               config.world_model.batch * config.world_model.window * 8,
                               config.world_model.width);
                         },
                     .facts = {{"seed", config.seed}, {"games", {config.game}}}});
  nlohmann::json identity = journal.Identity();
  identity["config"] = config::HashSettings(settings);
  EnsureWritableDirectory(directory);
  Note(directory, settings, /*done=*/false);
  try {
    agent::OnlineLearner learner(config, journal.path() / "replay", journal.precision());
    const TrainingResult result =
        Train(learner, {.directory = directory,
                        .checkpoint_seconds = config.checkpoint_seconds,
                        .identity = identity,
                        .metadata = {{"options", learner.models()->options().ToJson()}},
                        .title = "agent " + config.game,
                        .publish_often = true});
    WriteCurve(directory, config, learner);
    Note(directory, settings, /*done=*/true);
    journal.FinishStage("agent", result.seconds);
  } catch (const Interrupted&) {
    journal.EndWork("interrupted");
    throw;
  } catch (...) {
    journal.EndWork("failed");
    throw;
  }
  journal.EndWork("done");
}

}  // namespace hidreamer::pipeline
