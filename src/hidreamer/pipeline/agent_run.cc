#include "hidreamer/pipeline/agent_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/online_learner.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/env/make_environment.h"
#include "hidreamer/pipeline/agent_film.h"
#include "hidreamer/pipeline/run_journal.h"
#include "hidreamer/report/image.h"
#include "hidreamer/report/sections.h"
#include "hidreamer/training/checkpoint.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/loop.h"

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
  nlohmann::json random;
  for (const nlohmann::json& record : ReadJsonLines(directory / "metrics.jsonl")) {
    if (record.contains("score")) {
      evaluations.push_back({{"step", record["env_steps"]},
                             {"score", record["score"]},
                             {"score_error", record["score_error"]},
                             {"games", record["score_games"]}});
    }
    if (record.contains("random_score")) {
      random = {{"score", record["random_score"]},
                {"score_error", record["random_score_error"]},
                {"games", record["random_score_games"]}};
    }
  }
  nlohmann::json curve = {{"game", config.game},
                          {"seed", config.seed},
                          {"steps", config.steps},
                          {"training_games", games},
                          {"evaluations", evaluations}};
  if (!random.is_null()) {
    curve["random"] = random;
  }
  WriteFileAtomically(directory / "curve.json", curve.dump(1) + "\n");
}

// All that can be known before any work: the game, the device, and room for the replay.
void CheckBeforeWork(const config::AgentConfig& config, const std::filesystem::path& replay,
                     StageState state) {
  env::MakeEnvironment(config.game, config.protocol);
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

void WriteFilm(const std::filesystem::path& directory, const config::AgentConfig& config) {
  const auto film = FilmAgent(agent::LoadAgentModels(directory.parent_path()),
                              env::MakeEnvironment(config.game, config.protocol), {});
  WriteFileAtomically(directory / "dream.webp",
                      report::EncodeWebpAnimation(film, kFilmMilliseconds));
}

// Whether some of the steps are still to be played by an agent that was begun or done with other
// settings. Throws a user Error where it cannot play them.
bool LeavesWorkToDo(const config::AgentConfig& config, const std::filesystem::path& folder) {
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

void RunAgent(const config::AgentConfig& config, const AgentRunOptions& options) {
  RunJournal journal(options.directory);
  StageRecord stage{.name = "agent",
                    .folder = journal.path() / "agent",
                    .settings = config::Flatten(config),
                    .can_go_on = true};
  // Where the work is done and how often it is saved do not change what is learned.
  for (const char* key : {"threads", "device", "precision", "checkpoint_seconds"}) {
    stage.settings.erase(key);
  }
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
  journal.StartWork({.command = options.command,
                     .config_text = config::DumpConfig(config),
                     .threads = config.threads,
                     .device = config.device,
                     .precision = config.precision,
                     .checkpoint_seconds = config.checkpoint_seconds,
                     .choose_precision =
                         [&](torch::Device device) {
                           return layers::ChoosePrecision(
                               config.precision,
                               config.world_model.batch * config.world_model.window * 8,
                               config.world_model.width, device);
                         },
                     .facts = {{"seed", config.seed}, {"games", {config.game}}}});
  EnsureWritableDirectory(stage.folder);
  if (const auto changed = journal.Begin(stage); changed.contains("steps")) {
    spdlog::info(
        "learning rates, entropy and evaluations follow the schedule of {} steps from here "
        "(before: {})",
        config.steps, changed.at("steps"));
  }
  try {
    agent::OnlineLearner learner(config, replay, journal.precision());
    const training::TrainingResult result =
        training::Train(learner, {.directory = stage.folder,
                                  .checkpoint_seconds = config.checkpoint_seconds,
                                  .identity = journal.Identity(stage),
                                  .metadata = {{"options", learner.models()->options().ToJson()}},
                                  .title = "agent " + config.game,
                                  .publish_often = true,
                                  .keep_last_state = true});
    WriteCurve(stage.folder, config, learner);
    WriteFilm(stage.folder, config);
    journal.Finish(stage, result.seconds, {{"updates", learner.total_updates()}});
  } catch (const Interrupted&) {
    journal.EndWork("interrupted");
    throw;
  } catch (...) {
    journal.EndWork("failed");
    throw;
  }
  journal.EndWork("done");
  spdlog::info("report: {}", report::WriteReport({journal.path()}).string());
}

}  // namespace hidreamer::pipeline
