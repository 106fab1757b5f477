#include "hidreamer/pipeline/agent_run.h"

#include <fmt/format.h>

#include "hidreamer/agent/online_learner.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/dump.h"
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

}  // namespace

void RunAgent(const config::AgentConfig& config, const AgentRunOptions& options) {
  RunJournal journal(options.directory);
  // Where the work is done and how often it is saved do not change what is learned.
  config::Settings settings = config::Flatten(config);
  for (const char* key : {"threads", "precision", "checkpoint_seconds"}) {
    settings.erase(key);
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
  const std::filesystem::path directory = journal.path() / "agent";
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
