#include "hidreamer/pipeline/stages.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/loop.h"
#include "hidreamer/world_model/world_model_learner.h"

namespace hidreamer::pipeline {

namespace {

std::vector<tokenizer::TokenizedGame> LoadGames(const config::Config& config,
                                                const std::filesystem::path& directory) {
  std::vector<tokenizer::TokenizedGame> games;
  for (const std::string& game : config.games) {
    games.push_back(tokenizer::LoadTokenizedGame(directory / "tokens" / (game + ".safetensors")));
  }
  return games;
}

// What the leader of a group tells the others first: whether there is work, and its precision,
// which may come from a measurement.
enum class Call : int64_t { kNothing = 0, kTrainF32 = 1, kTrainBf16 = 2 };

Call ShareCall(training::ProcessGroup& group, Call call) {
  const auto number = torch::tensor(static_cast<int64_t>(call), torch::kLong);
  group.Share({number});
  return static_cast<Call>(number.item<int64_t>());
}

nlohmann::json TrainWorldModel(StageContext& context, const StageId& id,
                               const config::SplitConfig& split) {
  ShareCall(context.group, context.run.precision() == layers::Precision::kBf16 ? Call::kTrainBf16
                                                                               : Call::kTrainF32);
  world_model::WorldModelLearner learner(LoadGames(context.config, context.run.path()),
                                         context.config.world_model, split, context.run.precision(),
                                         context.seeds, context.run.device(), &context.group);
  return TrainStage(context, id, learner,
                    world_model::WorldModelMetadata(learner.model()->options()));
}

}  // namespace

void FollowWorldModel(const config::Config& config, const std::filesystem::path& directory,
                      training::ProcessGroup& group) {
  const Call call = ShareCall(group, Call::kNothing);
  if (call == Call::kNothing) {
    return;
  }
  world_model::WorldModelLearner learner(
      LoadGames(config, directory), config.world_model, config.split,
      call == Call::kTrainBf16 ? layers::Precision::kBf16 : layers::Precision::kF32,
      SeedTree(static_cast<uint64_t>(config.seed)), training::UseDevice(config.device), &group);
  training::TrainingOptions options;
  options.group = &group;
  training::Train(learner, options);
}

void DismissFollowers(training::ProcessGroup& group) { ShareCall(group, Call::kNothing); }

Stage WorldModelStage() {
  const StageId id{.name = "world_model", .settings = "world_model", .folder = "world_model"};
  return {.id = id,
          .headline = "train the world model on all games",
          .work = [id](StageContext& context) {
            return TrainWorldModel(context, id, context.config.split);
          }};
}

Stage OtherSplitStage(const config::SplitConfig& split) {
  config::SplitConfig other = split;
  other.by = split.by == "episode" ? "windows" : "episode";
  const StageId id{.name = "world_model_" + other.by,
                   .settings = "world_model",
                   .folder = "world_model_" + other.by};
  return {
      .id = id,
      .headline = "train it again under the " + other.by + " split, for comparison",
      .work = [id, other](StageContext& context) { return TrainWorldModel(context, id, other); }};
}

}  // namespace hidreamer::pipeline
