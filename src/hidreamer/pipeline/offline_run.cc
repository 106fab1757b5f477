#include "hidreamer/pipeline/offline_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/pipeline/agent_stage.h"
#include "hidreamer/training/loop.h"

namespace hidreamer::pipeline {

void RunOffline(const config::Config& config, const OfflineRunOptions& options) {
  std::error_code error;
  if (std::filesystem::equivalent(options.source, options.directory, error)) {
    throw UserError("choose another --out", "{} is the agent that is to be trained further",
                    options.directory.string());
  }
  agent::CheckHoldsAgentAndReplay(options.source, config);
  const bool policy = options.learning.learns == agent::Learns::kPolicy;
  RunJournal journal(options.directory);
  StageRecord stage = AgentStage(config, journal.path());
  stage.settings["offline.source"] = std::filesystem::canonical(options.source).string();
  stage.settings["offline.learns"] = policy ? "policy" : "world model";
  stage.settings["offline.updates"] = std::to_string(options.learning.updates);
  stage.settings["offline.anew"] = options.learning.anew ? "true" : "false";
  const StageState state = journal.Inspect(stage, options.force);
  if (state == StageState::kDone) {
    spdlog::info("{} updates of the {} were done before", options.learning.updates,
                 stage.settings["offline.learns"]);
    return;
  }
  if (state == StageState::kChanged) {
    journal.SetAside({stage});
  }
  journal.StartWork(AgentWork(config, options.command));
  EnsureWritableDirectory(stage.folder);
  journal.Begin(stage);
  journal.DoWork([&] {
    agent::OfflineLearner learner(options.source, config, options.learning, journal.precision());
    learner.RecordGamesAt(stage.folder / kLastGame);
    const training::TrainingResult result = training::Train(
        learner, {.directory = stage.folder,
                  .checkpoint_seconds = config.checkpoint_seconds,
                  .identity = journal.Identity(stage),
                  .metadata = {{"options", learner.models()->options().ToJson()}},
                  .title = fmt::format("{} of {}", stage.settings["offline.learns"], config.game),
                  .publish_often = true});
    WriteCurve(journal.path(), config, {}, CurveOver::kUpdates);
    WriteFilm(journal.path(), config);
    journal.Finish(stage, result.seconds, {{"updates", learner.total_updates()}});
  });
}

}  // namespace hidreamer::pipeline
