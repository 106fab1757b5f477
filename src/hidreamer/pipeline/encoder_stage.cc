#include "hidreamer/encoder/embed.h"
#include "hidreamer/encoder/encoder_learner.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/pipeline/stages.h"

namespace hidreamer::pipeline {

Stage EncoderStage() {
  const StageId id{.name = "encoder", .settings = "encoder", .folder = "encoder"};
  const auto work = [id](StageContext& context) {
    const config::Config& config = context.config;
    std::vector<data::EpisodeStore> stores;
    for (const std::string& game : config.games) {
      stores.push_back(OpenRecording(context, game));
    }
    std::vector<encoder::EncoderGame> games;
    for (size_t i = 0; i < stores.size(); ++i) {
      games.push_back({.store = &stores[i],
                       .split = data::SplitEpisodes(stores[i].episodes(), config.split.validation,
                                                    context.seeds.Subtree(config.games[i]))});
    }
    encoder::EncoderLearner learner(std::move(games), config.encoder, context.seeds,
                                    context.run.precision(), context.run.device());
    return TrainStage(context, id, learner, learner.Metadata());
  };
  return {.id = id, .headline = "train the encoder on all games", .work = work};
}

Stage EmbedStage() {
  const StageId id{.name = "embed", .settings = "embed", .folder = "embeddings"};
  const auto work = [id](StageContext& context) {
    encoder::Encoder model =
        encoder::LoadEncoder(context.run.path() / "encoder" / "model.safetensors");
    model->to(context.run.device());
    int64_t rows = 0;
    for (const std::string& game : context.config.games) {
      const data::EpisodeStore store = OpenRecording(context, game);
      formats::SaveSafetensors(context.run.Folder(id) / (game + ".safetensors"),
                               {{"embeddings", encoder::EmbedStore(model, store)}});
      rows += store.size();
    }
    return nlohmann::json{{"rows", rows}};
  };
  return {.id = id, .headline = "embed every frame", .work = work};
}

}  // namespace hidreamer::pipeline
