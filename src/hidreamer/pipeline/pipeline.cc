#include "hidreamer/pipeline/pipeline.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/encoder/encoder.h"
#include "hidreamer/pipeline/check_inputs.h"
#include "hidreamer/pipeline/figure_table.h"
#include "hidreamer/pipeline/run_directory.h"
#include "hidreamer/pipeline/stages.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/loop.h"
#include "hidreamer/training/runtime.h"

namespace hidreamer::pipeline {
namespace {

bool Selected(const Stage& stage, const std::vector<std::string>& only) {
  return only.empty() || std::find(only.begin(), only.end(), stage.id.name) != only.end();
}

// Recordings that were put there by collect or import count as done.
bool IsForeignRecording(const RunDirectory& run, const StageId& id) {
  return id.settings == "collect" && std::filesystem::exists(run.Folder(id));
}

void RunStage(const Stage& stage, StageContext& context) {
  const auto start = std::chrono::steady_clock::now();
  nlohmann::json summary;
  if (IsForeignRecording(context.run, stage.id)) {
    const data::EpisodeStore store(context.run.Folder(stage.id));  // a user Error if it is damaged
    spdlog::info("{}: uses the recording that is there, {} steps", stage.id.name, store.size());
    summary = {{"steps", store.size()}, {"recorded_elsewhere", true}};
  } else {
    if (stage.id.settings != "collect") {  // whose folder appears whole, or not at all
      for (const auto& [key, before] : context.run.Begin(stage.id)) {
        if (key.ends_with(".epochs") || key.ends_with(".updates")) {
          spdlog::info("{}: the learning rate follows the schedule of the new {} from here",
                       stage.id.name, key);
        }
      }
    }
    summary = stage.work(context);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  context.run.Finish(stage.id, seconds, summary);
  spdlog::info("{} done in {}", stage.id.name, FormatDuration(seconds));
}

// Whether the last stage that is asked for does not read it.
bool MayBeMissing(const StageId& id, const StageId& last) {
  return id.name == "single_vq" || id.name.starts_with("world_model_") ||
         id.settings == last.settings;
}

// All settings are compared before anything is written.
std::vector<StageState> InspectAll(const RunDirectory& run, const std::vector<Stage>& stages,
                                   bool force) {
  std::vector<StageState> states;
  for (const Stage& stage : stages) {
    states.push_back(run.Inspect(stage.id, force));
  }
  return states;
}

// Whether every stage asked for was done before.
bool AllDone(const std::vector<Stage>& stages, const std::vector<StageState>& states,
             const std::vector<std::string>& only) {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (Selected(stages[i], only) && states[i] != StageState::kDone) {
      return false;
    }
  }
  return true;
}

// The last stage that is asked for.
size_t LastOf(const std::vector<Stage>& stages, const std::vector<std::string>& only) {
  size_t last = 0;
  for (size_t i = 0; i < stages.size(); ++i) {
    last = Selected(stages[i], only) ? i : last;
  }
  return last;
}

// Of the numbers that a stage writes for each recorded step, at least.
double BytesOfStep(const StageId& id, const config::Config& config) {
  if (id.settings == "collect") {
    return env::kRamBytes;
  }
  const auto games = static_cast<double>(config.games.size());
  const auto width = static_cast<double>(encoder::EncoderOptions{}.width);
  return id.settings == "embed" ? games * width * sizeof(float) : 0;
}

// All else that can be known before any work: that the stages before are there, who plays the
// games, the device, and room on the disk.
void CheckBeforeWork(const config::Config& config, const RunDirectory& run,
                     const std::vector<Stage>& stages, const std::vector<StageState>& states,
                     const std::vector<std::string>& only) {
  const size_t last = LastOf(stages, only);
  double bytes = 0;
  for (size_t i = 0; i <= last; ++i) {
    const StageId& id = stages[i].id;
    const bool recorded = states[i] == StageState::kToDo && IsForeignRecording(run, id);
    if (states[i] == StageState::kDone || recorded) {
      continue;
    }
    if (!Selected(stages[i], only)) {
      if (!MayBeMissing(id, stages[last].id)) {
        throw UserError("hidreamer run does all stages in order",
                        "{} comes before {} and is not done", id.name, stages[last].id.name);
      }
      continue;
    }
    if (id.settings == "collect") {
      const std::string game = std::filesystem::path(id.folder).filename().string();
      MakeAnyPlayer(config.collect.policy, game);
    }
    bytes += BytesOfStep(id, config) * static_cast<double>(config.collect.steps);
  }
  training::UseDevice(config.device);
  CheckFreeSpace(run.path(), bytes);
}

// With --force: what was done with other settings makes room.
void SetAsideChanged(RunDirectory& run, const std::vector<Stage>& stages,
                     std::vector<StageState>& states) {
  std::vector<StageId> changed;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (states[i] == StageState::kChanged) {
      changed.push_back(stages[i].id);
      states[i] = StageState::kToDo;
    }
  }
  run.SetAside(changed);
}

void RunSelected(StageContext& context, const std::vector<Stage>& stages,
                 const std::vector<StageState>& states, const std::vector<std::string>& only) {
  const size_t last = LastOf(stages, only);
  for (size_t i = 0; i <= last; ++i) {
    const Stage& stage = stages[i];
    if (states[i] == StageState::kDone) {
      spdlog::info("[{}/{}] {}: done before", i + 1, stages.size(), stage.id.name);
      continue;
    }
    if (!Selected(stage, only)) {
      continue;
    }
    if (InterruptRequested()) {
      throw Interrupted();
    }
    spdlog::info("[{}/{}] {}: {}", i + 1, stages.size(), stage.id.name, stage.headline);
    RunStage(stage, context);
  }
}

}  // namespace

nlohmann::json TrainStage(StageContext& context, const StageId& id, training::Learner& learner,
                          const std::map<std::string, std::string>& metadata) {
  const training::TrainingResult result =
      training::Train(learner, {.directory = context.run.Folder(id),
                                .checkpoint_seconds = context.config.checkpoint_seconds,
                                .identity = context.run.Identity(id),
                                .metadata = metadata,
                                .title = id.name,
                                .group = &context.group});
  return {{"updates", learner.total_updates()}, {"train_seconds", result.seconds}};
}

const std::vector<std::string>& PolicyGames(const config::Config& config) {
  return config.policy_games.empty() ? config.games : config.policy_games;
}

std::vector<Stage> AllStages(const config::Config& config) {
  std::vector<Stage> stages;
  for (const std::string& game : config.games) {
    stages.push_back(CollectStage(game));
  }
  stages.push_back(EncoderStage());
  stages.push_back(EmbedStage());
  stages.push_back(TokenizerStage());
  if (config.tokenizer.single_vq) {
    stages.push_back(SingleVqStage());
  }
  stages.push_back(TokenizeStage());
  stages.push_back(WorldModelStage());
  if (config.split.compare) {
    stages.push_back(OtherSplitStage(config.split));
  }
  for (const std::string& game : PolicyGames(config)) {
    stages.push_back(PolicyStage(game));
  }
  stages.push_back(EvaluateStage());
  stages.push_back(ReportStage());
  return stages;
}

namespace {

void RunLeading(const config::Config& config, const PipelineOptions& options,
                training::ProcessGroup& group) {
  RunDirectory run(options.directory, config);
  const std::vector<Stage> stages = AllStages(config);
  CheckInputs(config, run.path(), options.only);
  std::vector<StageState> states = InspectAll(run, stages, options.force);
  CheckBeforeWork(config, run, stages, states, options.only);
  SetAsideChanged(run, stages, states);
  run.StartWork(options.command);
  options.begun();
  StageContext context{.config = config,
                       .run = run,
                       .seeds = SeedTree(static_cast<uint64_t>(config.seed)),
                       .group = group};
  run.DoWork([&] {
    RunSelected(context, stages, states, options.only);
    if (AllDone(stages, states, options.only)) {
      DismissFollowers(group);
    }
  });
  if (options.only.empty()) {
    fmt::print("{}\nreport: {}\n", FormatFigureTable(run.path() / "summary.json"),
               (run.path() / "report.html").string());
  }
}

// The world model's training alone is shared by several processes.
void RunTogether(config::Config config, const PipelineOptions& options,
                 training::ProcessGroup& group) {
  if (config.threads == 0) {  // they share the machine's cores
    config.threads = DefaultThreads(training::ProcessGroup::ProcessesHere());
  }
  if (!group.leads()) {
    training::ConfigureRuntime(config.threads);
    FollowWorldModel(config, options.directory, group);
    return;
  }
  RunLeading(config, options, group);
}

}  // namespace

void RunPipeline(const config::Config& config, const PipelineOptions& options) {
  const training::ProcessGroup::Place place = training::ProcessGroup::PlaceFromEnvironment();
  if (place.size > 1 && options.only != std::vector<std::string>{"world_model"}) {
    throw UserError(fmt::format("unset {}; torchrun, mpirun and srun are for hidreamer train "
                                "world-model --run RUN",
                                place.variable),
                    "{} = {}, but only the world model's training is shared by several processes",
                    place.variable, place.size);
  }
  training::ProcessGroup group = training::ProcessGroup::FromEnvironment();
  if (group.size() > 1) {
    RunTogether(config, options, group);
  } else {
    RunLeading(config, options, group);
  }
}

}  // namespace hidreamer::pipeline
