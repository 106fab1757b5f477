#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/data/collect.h"
#include "hidreamer/encoder/encoder_learner.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/performance/workload.h"
#include "hidreamer/tokenizer/tokenizer_learner.h"

namespace hidreamer::performance {
namespace {

constexpr int64_t kEmbeddingWidth = 384;

torch::Tensor RandomEmbeddings(int64_t rows) {  // (rows, D) of length 1, as the encoder's
  torch::manual_seed(kWorkloadSeed);
  torch::Tensor embeddings = torch::randn({rows, kEmbeddingWidth});
  return embeddings.div_(embeddings.norm(2, 1, /*keepdim=*/true));
}

// A recording of the built-in game, there with every build, and the learner on it.
struct RecordedEncoderLearner {
  RecordedEncoderLearner(const WorkloadOptions& options, int64_t batch, int64_t steps)
      : directory(std::filesystem::temp_directory_path() /
                  fmt::format("hidreamer_bench_{}", ::getpid())) {
    env::RandomPlayer player;
    data::CollectEpisodes(
        {.game = "catch", .steps = steps, .threads = options.threads, .show_progress = false},
        player, directory.path() / "store");
    store.emplace(directory.path() / "store");
    config::EncoderConfig config;
    config.negatives = "one";
    config.batch = batch;
    const SeedTree seeds(kWorkloadSeed);
    const encoder::EncoderGame game{
        .store = &*store,
        .split = data::SplitEpisodes(store->episodes(), config::SplitConfig{}.validation, seeds)};
    learner.emplace(std::vector{game}, config, seeds, options.precision, options.device);
  }

  TemporaryDirectory directory;
  std::optional<data::EpisodeStore> store;
  std::optional<encoder::EncoderLearner> learner;
};

}  // namespace

Workload HrvqEncode(const WorkloadOptions& options) {
  const int64_t rows = options.quick ? 2000 : 300000;
  tokenizer::ResidualQuantizer quantizer;
  const torch::Tensor embeddings = RandomEmbeddings(rows).to(options.device);
  for (int64_t l = 0; l < quantizer->options().levels; ++l) {
    tokenizer::CodebookLevel(quantizer->level(l))
        ->Start(RandomEmbeddings(quantizer->options().codes).div_(static_cast<double>(l + 1)));
  }
  quantizer->to(options.device);
  quantizer->eval();
  return {.shape = fmt::format("{} x {}, {} levels of {}", rows, kEmbeddingWidth,
                               quantizer->options().levels, quantizer->options().codes),
          .precision = layers::Precision::kF32,
          .run = [quantizer, embeddings] { quantizer->Encode(embeddings); },
          .items = static_cast<double>(rows),
          .unit = "frames"};
}

Workload HrvqTrain(const WorkloadOptions& options) {
  config::TokenizerConfig config;
  if (options.quick) {
    config.batch = 32;
    config.codes = 16;
  }
  const int64_t rows = options.quick ? 256 : 16384;
  tokenizer::TokenizerGame game{.embeddings = RandomEmbeddings(rows),
                                .split = {.train = {{0, rows}}, .validation = {}}};
  auto learner = std::make_shared<tokenizer::TokenizerLearner>(
      std::vector{std::move(game)}, config, SeedTree(kWorkloadSeed), options.device);
  learner->Update(0);  // starts the codebooks by k-means, once in a training
  return {.shape = fmt::format("{} x {}", config.batch, kEmbeddingWidth),
          .precision = layers::Precision::kF32,
          .run =
              [learner, update = int64_t{0}]() mutable {
                learner->Update(1 + update++ % (learner->total_updates() - 1));
              },
          .unit = "updates"};
}

Workload EncoderForward(const WorkloadOptions& options) {
  const int64_t batch = options.quick ? 4 : 256;
  torch::manual_seed(kWorkloadSeed);
  encoder::Encoder encoder;
  encoder->to(options.device);
  encoder->eval();
  const torch::Tensor frames =
      torch::randint(256, {batch, env::kStackDepth, env::kFrameSize, env::kFrameSize},
                     torch::TensorOptions(options.device).dtype(torch::kUInt8));
  return {.shape = fmt::format("{} x {} x {} x {}", batch, env::kStackDepth, env::kFrameSize,
                               env::kFrameSize),
          .precision = options.precision,
          .run =
              [encoder, frames, options]() mutable {
                const torch::NoGradGuard no_grad;
                const layers::AutocastGuard autocast(options.device, options.precision);
                encoder->forward(frames);
              },
          .items = static_cast<double>(batch),
          .unit = "frames"};
}

Workload InfoNceStep(const WorkloadOptions& options) {
  const int64_t batch = options.quick ? 4 : 256;
  auto recorded =
      std::make_shared<RecordedEncoderLearner>(options, batch, options.quick ? 400 : 8000);
  return {.shape = fmt::format("3 x {} frames, one negative", batch),
          .precision = options.precision,
          .run =
              [recorded, update = int64_t{0}]() mutable {
                recorded->learner->Update(update++ % recorded->learner->total_updates());
              },
          .unit = "updates"};
}

}  // namespace hidreamer::performance
