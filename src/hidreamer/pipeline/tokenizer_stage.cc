#include "hidreamer/base/error.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/pipeline/stages.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/tokenizer/tokenizer_learner.h"

namespace hidreamer::pipeline {
namespace {

// (N, D) f32 of a game; throws a user Error if the recording has another number of rows.
torch::Tensor LoadEmbeddings(const StageContext& context, const std::string& game,
                             const data::EpisodeStore& store) {
  const std::filesystem::path path = context.run.path() / "embeddings" / (game + ".safetensors");
  const formats::SafetensorsFile file = formats::LoadSafetensors(path);
  const auto found = file.tensors.find("embeddings");
  if (found == file.tensors.end() || found->second.dim() != 2 ||
      found->second.size(0) != store.size()) {
    throw UserError("remove it; the same command embeds the recording again",
                    "{} does not hold an embedding of each of the {} rows", path.string(),
                    store.size());
  }
  return found->second;
}

nlohmann::json TrainTokenizer(StageContext& context, const StageId& id,
                              const config::TokenizerConfig& tokenizer_config) {
  std::vector<tokenizer::TokenizerGame> games;
  for (const std::string& game : context.config.games) {
    const data::EpisodeStore store = OpenRecording(context, game);
    games.push_back({.embeddings = LoadEmbeddings(context, game, store),
                     .split = data::SplitEpisodes(store.episodes(), context.config.split.validation,
                                                  context.seeds.Subtree(game))});
  }
  tokenizer::TokenizerLearner learner(std::move(games), tokenizer_config, context.seeds,
                                      context.run.device(), id.name);
  return TrainStage(context, id, learner, learner.Metadata());
}

}  // namespace

Stage TokenizerStage() {
  const StageId id{.name = "tokenizer", .settings = "tokenizer", .folder = "tokenizer"};
  const auto work = [id](StageContext& context) {
    return TrainTokenizer(context, id, context.config.tokenizer);
  };
  return {.id = id, .headline = "fit the residual quantizer", .work = work};
}

Stage SingleVqStage() {
  const StageId id{.name = "single_vq", .settings = "tokenizer", .folder = "single_vq"};
  const auto work = [id](StageContext& context) {
    return TrainTokenizer(context, id, tokenizer::SingleVqConfig(context.config.tokenizer));
  };
  return {.id = id, .headline = "fit a single codebook, for comparison", .work = work};
}

Stage TokenizeStage() {
  const StageId id{.name = "tokenize", .settings = "tokenize", .folder = "tokens"};
  const auto work = [id](StageContext& context) {
    tokenizer::ResidualQuantizer quantizer =
        tokenizer::LoadResidualQuantizer(context.run.path() / "tokenizer" / "model.safetensors");
    int64_t rows = 0;
    for (const std::string& game : context.config.games) {
      const data::EpisodeStore store = OpenRecording(context, game);
      tokenizer::SaveTokenizedGame(
          tokenizer::TokenizeStore(quantizer, store, LoadEmbeddings(context, game, store)),
          context.run.Folder(id) / (game + ".safetensors"));
      rows += store.size();
    }
    return nlohmann::json{{"rows", rows}};
  };
  return {.id = id, .headline = "turn frames into tokens", .work = work};
}

}  // namespace hidreamer::pipeline
