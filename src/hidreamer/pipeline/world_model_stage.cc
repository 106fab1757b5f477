#include "hidreamer/pipeline/stages.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model_learner.h"

namespace hidreamer::pipeline {

Stage WorldModelStage() {
  const StageId id{.name = "world_model", .settings = "world_model", .folder = "world_model"};
  const auto work = [id](StageContext& context) {
    std::vector<tokenizer::TokenizedGame> games;
    for (const std::string& game : context.config.games) {
      games.push_back(
          tokenizer::LoadTokenizedGame(context.run.path() / "tokens" / (game + ".safetensors")));
    }
    world_model::WorldModelLearner learner(std::move(games), context.config.world_model,
                                           context.config.split, context.run.precision(),
                                           context.seeds);
    return TrainStage(context, id, learner,
                      world_model::WorldModelMetadata(learner.model()->options()));
  };
  return {.id = id, .headline = "train the world model on all games", .work = work};
}

}  // namespace hidreamer::pipeline
