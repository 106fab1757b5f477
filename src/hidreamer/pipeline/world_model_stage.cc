#include "hidreamer/pipeline/stages.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model_learner.h"

namespace hidreamer::pipeline {

namespace {

nlohmann::json TrainWorldModel(StageContext& context, const StageId& id,
                               const config::SplitConfig& split) {
  std::vector<tokenizer::TokenizedGame> games;
  for (const std::string& game : context.config.games) {
    games.push_back(
        tokenizer::LoadTokenizedGame(context.run.path() / "tokens" / (game + ".safetensors")));
  }
  world_model::WorldModelLearner learner(std::move(games), context.config.world_model, split,
                                         context.run.precision(), context.seeds);
  return TrainStage(context, id, learner,
                    world_model::WorldModelMetadata(learner.model()->options()));
}

}  // namespace

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
