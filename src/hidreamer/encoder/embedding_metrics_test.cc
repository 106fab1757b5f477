#include "hidreamer/encoder/embedding_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/embed.h"
#include "hidreamer/encoder/test_recording.h"

namespace hidreamer::encoder {
namespace {

TEST(MeasureEmbeddings, OfPointsOnACircle) {
  // One turn in 360 steps: neighbours 2 sin(1/2 degree) apart, random points 4/pi on average.
  const torch::Tensor angle = torch::arange(360, torch::kFloat) * (std::numbers::pi / 180);  // (N)
  const EmbeddedGame game{.embeddings = torch::stack({angle.cos(), angle.sin()}, 1),
                          .episodes = {{0, 360}}};
  const EmbeddingMetrics metrics = MeasureEmbeddings(game, SeedTree(1));
  const double step = 2 * std::sin(std::numbers::pi / 360);
  EXPECT_NEAR(metrics.consecutive_distance, step, 1e-5);
  EXPECT_NEAR(metrics.diversity, 4 / std::numbers::pi, 0.02);
  EXPECT_NEAR(metrics.temporal_consistency, step * std::numbers::pi / 4, 1e-3);
  EXPECT_NEAR(metrics.mean_norm, 1, 1e-6);
  EXPECT_NEAR(metrics.effective_dimensions, 2, 0.01);
}

TEST(MeasureEmbeddings, LooksAtNoPairAcrossEpisodes) {
  // Constant inside each episode, far between them.
  const torch::Tensor rows = torch::cat({torch::zeros({5, 3}), torch::ones({5, 3}) * 9});
  const EmbeddingMetrics metrics =
      MeasureEmbeddings({.embeddings = rows, .episodes = {{0, 5}, {5, 10}}}, SeedTree(1));
  EXPECT_EQ(metrics.consecutive_distance, 0);
  EXPECT_GT(metrics.diversity, 1);
}

TEST(MeasureJointEmbeddings, TakesRandomPairsAcrossGames) {
  const EmbeddedGame zeros{.embeddings = torch::zeros({10, 1}), .episodes = {{0, 10}}};
  const EmbeddedGame ones{.embeddings = torch::ones({10, 1}), .episodes = {{0, 10}}};
  EXPECT_EQ(MeasureEmbeddings(ones, SeedTree(1)).diversity, 0);
  // 10 of the 19 other rows lie in the other game.
  EXPECT_NEAR(MeasureJointEmbeddings({zeros, ones}, SeedTree(1)).diversity, 10.0 / 19, 0.02);
  EXPECT_THROW(MeasureJointEmbeddings({}, SeedTree(1)), Error);
}

TEST(MeasureEncoder, AgreesWithTheEmbeddingsOfTheWholeStore) {
  const TestRecording recording("metrics", 2, 15);
  const data::EpisodeStore store = recording.Open();
  torch::manual_seed(1);
  Encoder encoder(EncoderOptions{});
  const torch::Tensor embeddings = EmbedStore(encoder, store, 8);
  EXPECT_EQ(embeddings.sizes(), (std::vector<int64_t>{30, 384}));
  const std::vector<int64_t> rows = {17, 3};
  EXPECT_TRUE(torch::allclose(EmbedRows(encoder, store, rows)[0], embeddings[17], 1e-4, 1e-5));
  const EmbeddingMetrics whole =
      MeasureEmbeddings({.embeddings = embeddings, .episodes = store.episodes()}, SeedTree(1));
  const EmbeddingMetrics sampled =
      MeasureEncoder(encoder, store, store.episodes(), SeedTree(1), 100);
  EXPECT_NEAR(sampled.consecutive_distance, whole.consecutive_distance,
              0.2 * whole.consecutive_distance);
  EXPECT_NEAR(sampled.diversity, whole.diversity, 0.2 * whole.diversity);
}

}  // namespace
}  // namespace hidreamer::encoder
