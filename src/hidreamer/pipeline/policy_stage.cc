#include "hidreamer/imagination/policy_learner.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/pipeline/stages.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::pipeline {

Stage PolicyStage(const std::string& game) {
  const StageId id{.name = "policy/" + game, .settings = "policy", .folder = "policy/" + game};
  const auto work = [id, game](StageContext& context) {
    const std::filesystem::path& run = context.run.path();
    const config::PolicyConfig& config = context.config.policy;
    tokenizer::ResidualQuantizer quantizer =
        tokenizer::LoadResidualQuantizer(run / "tokenizer" / "model.safetensors");
    imagination::PolicyLearner learner(
        tokenizer::LoadTokenizedGame(run / "tokens" / (game + ".safetensors")),
        world_model::LoadWorldModel(run / "world_model" / "model.safetensors"),
        imagination::Codebooks(quantizer), config, context.config.split, context.seeds,
        context.run.device(), context.run.precision());
    nlohmann::json summary = TrainStage(context, id, learner, learner.Metadata());
    if (!config.world_model_frozen) {
      world_model::SaveWorldModel(context.run.Folder(id) / "world_model.safetensors",
                                  learner.world_model());
    }
    return summary;
  };
  return {.id = id, .headline = "learn to play " + game + " in the dream", .work = work};
}

}  // namespace hidreamer::pipeline
