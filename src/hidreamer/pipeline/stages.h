#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/player.h"
#include "hidreamer/pipeline/run_directory.h"
#include "hidreamer/training/learner.h"
#include "hidreamer/training/process_group.h"

// The stages of the pipeline, one file each. A stage reads the artefacts of those before it from
// the run directory, writes its own, and can be killed at any moment: run again it goes on.
namespace hidreamer::pipeline {

struct StageContext {
  const config::Config& config;
  RunDirectory& run;
  SeedTree seeds;
  training::ProcessGroup& group;  // leader of; of one process but for the world model's training
};

struct Stage {
  StageId id;
  std::string headline;                               // what it does, for a person
  std::function<nlohmann::json(StageContext&)> work;  // returns a few numbers for stage.json
};

Stage CollectStage(const std::string& game);              // data/GAME
Stage EncoderStage();                                     // encoder/
Stage EmbedStage();                                       // embeddings/GAME.safetensors
Stage TokenizerStage();                                   // tokenizer/
Stage SingleVqStage();                                    // single_vq/
Stage TokenizeStage();                                    // tokens/GAME.safetensors
Stage WorldModelStage();                                  // world_model/
Stage OtherSplitStage(const config::SplitConfig& split);  // world_model_SPLIT/, for comparison
Stage PolicyStage(const std::string& game);               // policy/GAME
Stage EvaluateStage();                                    // evaluation/, summary.json
Stage ReportStage();                                      // report.html

// All stages of a config in order.
std::vector<Stage> AllStages(const config::Config& config);

// Games a policy is learned for.
const std::vector<std::string>& PolicyGames(const config::Config& config);

// Built-in players by name (env::MakePlayer), else the trained policy of a run directory of either
// kind. temperature: of its actions, see policy::ChooseActions.
std::unique_ptr<env::Player> MakeAnyPlayer(const std::string& policy, const std::string& game,
                                           double temperature = 1,
                                           torch::Device device = torch::kCPU);

// The recording of a game in the run directory.
data::EpisodeStore OpenRecording(const StageContext& context, const std::string& game);

// What a process that leads no group does while its leader trains the world model of `directory`.
void FollowWorldModel(const config::Config& config, const std::filesystem::path& directory,
                      training::ProcessGroup& group);
// Tells those that follow that there is nothing to train.
void DismissFollowers(training::ProcessGroup& group);

// Trains with checkpoints in the stage's folder; returns {"updates", "train_seconds"}.
nlohmann::json TrainStage(StageContext& context, const StageId& id, training::Learner& learner,
                          const std::map<std::string, std::string>& metadata);

}  // namespace hidreamer::pipeline
