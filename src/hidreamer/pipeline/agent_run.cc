#include "hidreamer/pipeline/agent_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/online_learner.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/agent_stage.h"
#include "hidreamer/pipeline/run_journal.h"
#include "hidreamer/report/sections.h"
#include "hidreamer/training/checkpoint.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/loop.h"

namespace hidreamer::pipeline {
namespace {

// All that can be known before any work: the game, the device, and room for the replay.
void CheckBeforeWork(const config::Config& config, const std::filesystem::path& replay,
                     StageState state) {
  env::MakeEnvironment(config.game, config.collect.protocol);
  training::UseDevice(config.device);
  std::error_code code;
  const auto there = std::filesystem::symlink_status(replay, code);
  const bool empty =
      std::filesystem::is_directory(there) && std::filesystem::is_empty(replay, code);
  if (state == StageState::kToDo && std::filesystem::exists(there) && !empty) {
    throw UserError("move it away, or choose another --out",
                    "{} is there, but no agent that it belongs to", replay.string());
  }
  if (state != StageState::kBegun) {
    CheckFreeSpace(replay, static_cast<double>(config.steps) * agent::kObservationBytes);
  }
}

// Whether some of the steps are still to be played by an agent that was begun or done with other
// settings. Throws a user Error where it cannot play them.
bool LeavesWorkToDo(const config::Config& config, const std::filesystem::path& folder) {
  const int64_t per_update = config.collect.steps_per_update;
  const int64_t wanted = config.steps / per_update;
  const int64_t played = training::UpdatesOfNewestCheckpoint(folder / "checkpoints");
  const bool done = std::filesystem::exists(folder / "stage.json");
  if (done && played == 0) {
    throw UserError("choose another --out",
                    "{} cannot be gone on with: it was finished by a version of hidreamer that did "
                    "not keep the state for it",
                    folder.string());
  }
  if (wanted < played) {
    throw UserError("ask for more --steps, or choose another --out",
                    "{} has played {} steps already, more than the {} that are asked for",
                    folder.string(), played * per_update, config.steps);
  }
  return !done || wanted > played;
}

}  // namespace

void RunAgent(const config::Config& config, const AgentRunOptions& options) {
  RunJournal journal(options.directory);
  StageRecord stage = AgentStage(config, journal.path());
  stage.can_go_on = true;
  const std::filesystem::path replay = journal.path() / "replay";
  const StageState state = journal.Inspect(stage, options.force);
  if (state == StageState::kDone) {
    spdlog::info("{} steps of {} were done before", config.steps, config.game);
    return;
  }
  if (state == StageState::kBegun && !LeavesWorkToDo(config, stage.folder)) {
    spdlog::info("{} steps of {} were done before; more --steps go on", config.steps, config.game);
    return;
  }
  CheckBeforeWork(config, replay, state);
  if (state == StageState::kChanged) {
    journal.SetAside({stage}, {"replay"});
  }
  journal.StartWork(AgentWork(config, options.command));
  options.begun();
  EnsureWritableDirectory(stage.folder);
  if (const auto changed = journal.Begin(stage); changed.contains("steps")) {
    spdlog::info(
        "learning rates, entropy and evaluations follow the schedule of {} steps from here "
        "(before: {})",
        config.steps, changed.at("steps"));
  }
  journal.DoWork([&] {
    agent::OnlineLearner learner(config, replay, journal.precision());
    learner.RecordGamesAt(stage.folder / kLastGame);
    const training::TrainingResult result =
        training::Train(learner, {.directory = stage.folder,
                                  .checkpoint_seconds = config.checkpoint_seconds,
                                  .identity = journal.Identity(stage),
                                  .metadata = {{"options", learner.models()->options().ToJson()}},
                                  .title = "agent " + config.game,
                                  .publish_often = true,
                                  .keep_last_state = true});
    WriteCurve(journal.path(), config, learner.games(), CurveOver::kSteps);
    WriteFilm(journal.path(), config);
    journal.Finish(stage, result.seconds, {{"updates", learner.total_updates()}});
  });
  spdlog::info("report: {}", report::WriteReport({journal.path()}).string());
}

}  // namespace hidreamer::pipeline
