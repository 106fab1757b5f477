#include "hidreamer/tokenizer/tokenizer_learner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/base/error.h"

namespace hidreamer::tokenizer {
namespace {

constexpr int64_t kDim = 10;

std::vector<TokenizerGame> TwoGames() {
  torch::manual_seed(11);
  std::vector<TokenizerGame> games;
  for (int64_t g = 0; g < 2; ++g) {
    games.push_back({.embeddings = torch::nn::functional::normalize(torch::randn({300, kDim})),
                     .split = {.train = {{0, 100}, {200, 300}}, .validation = {{100, 200}}}});
  }
  return games;
}

config::TokenizerConfig SmallConfig() {
  config::TokenizerConfig config;
  config.codes = 16;
  config.epochs = 4;
  config.batch = 50;
  return config;
}

void Train(TokenizerLearner& learner, int64_t begin, int64_t end) {
  for (int64_t u = begin; u < end; ++u) {
    learner.Update(u);
    if ((u + 1) % learner.updates_per_epoch() == 0) {
      learner.EndEpoch(u / learner.updates_per_epoch());
    }
  }
}

void ExpectSameState(const formats::TensorMap& a, const formats::TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, value] : a) {
    EXPECT_TRUE(value.equal(b.at(name))) << name;
  }
}

TEST(TokenizerLearner, CountsUpdatesFromTrainingRowsOnly) {
  TokenizerLearner learner(TwoGames(), SmallConfig(), SeedTree(1));
  EXPECT_EQ(learner.updates_per_epoch(), 8);  // 400 rows / 50
  EXPECT_EQ(learner.total_updates(), 32);
}

TEST(TokenizerLearner, StartsWellAndUsesAllCodes) {
  TokenizerLearner learner(TwoGames(), SmallConfig(), SeedTree(1));
  Train(learner, 0, learner.total_updates());
  const nlohmann::json record = learner.EndEpoch(3);
  EXPECT_EQ(record.at("used_0"), 16);
  EXPECT_GT(record.at("validation_explained").get<double>(), 0.4);
  EXPECT_LT(record.at("perplexity_0").get<double>(), 16.001);
}

TEST(TokenizerLearner, RecoversFromABadStart) {
  config::TokenizerConfig config = SmallConfig();
  config.decay = 0.9;
  TokenizerLearner learner(TwoGames(), config, SeedTree(1));
  formats::TensorMap state;
  for (const auto& [name, value] : learner.State()) {  // all codes far off, only one of them near
    state[name] = torch::ones_like(value);
    if (value.dim() == 2) {
      state[name].mul_(torch::arange(1, 17).unsqueeze(1));
    }
  }
  learner.LoadState(state);
  const double before = learner.EndEpoch(0).at("validation_reconstruction_error");
  Train(learner, 1, learner.total_updates());
  const nlohmann::json after = learner.EndEpoch(3);
  EXPECT_LT(after.at("validation_reconstruction_error").get<double>(), 0.2 * before);
  EXPECT_GT(after.at("used_0").get<int64_t>(), 12);  // revived
}

TEST(TokenizerLearner, TakesTheSameUpdatesOnAGpu) {
  if (!torch::cuda::is_available()) {
    GTEST_SKIP() << "no GPU";
  }
  config::TokenizerConfig config = SmallConfig();
  config.decay = 0.5;
  config.revive_below = 0.3;
  TokenizerLearner here(TwoGames(), config, SeedTree(1));
  TokenizerLearner there(TwoGames(), config, SeedTree(1), torch::kCUDA);
  here.Update(0);
  there.Update(0);
  double revived = 0;
  for (int64_t update = 1; update < 12; ++update) {
    there.LoadState(
        here.State());  // revived codes lie on rows: what is a tie here may be none there
    const nlohmann::json expected = here.Update(update).Read(), found = there.Update(update).Read();
    for (const auto& [name, value] : expected.items()) {
      EXPECT_NEAR(found.at(name).get<double>(), value.get<double>(), 1e-3) << name << update;
    }
    revived += expected.at("revived").get<double>();
  }
  EXPECT_GT(revived, 0);
}

TEST(TokenizerLearner, GoesOnToTheBitAfterLoading) {
  TokenizerLearner whole(TwoGames(), SmallConfig(), SeedTree(1));
  Train(whole, 0, 20);
  TokenizerLearner first(TwoGames(), SmallConfig(), SeedTree(1));
  Train(first, 0, 11);
  formats::TensorMap saved;
  for (const auto& [name, value] : first.State()) {
    saved[name] = value.clone();
  }
  TokenizerLearner second(TwoGames(), SmallConfig(), SeedTree(1));
  second.LoadState(saved);
  Train(second, 11, 20);
  ExpectSameState(whole.State(), second.State());
}

TEST(TokenizerLearner, CommitmentCostsChangeNothingWhileTheEncoderIsFrozen) {
  config::TokenizerConfig other = SmallConfig();
  other.commitment_costs = {10, 0, 3};
  TokenizerLearner a(TwoGames(), SmallConfig(), SeedTree(1));
  TokenizerLearner b(TwoGames(), other, SeedTree(1));
  Train(a, 0, a.total_updates());
  Train(b, 0, b.total_updates());
  ExpectSameState(a.State(), b.State());
}

TEST(TokenizerLearner, SingleVqIsOneLevelOfTheSameClass) {
  TokenizerLearner learner(TwoGames(), SingleVqConfig(SmallConfig()), SeedTree(1), torch::kCPU,
                           "single_vq");
  Train(learner, 0, 3);
  EXPECT_EQ(learner.quantizer()->Encode(torch::randn({5, kDim})).size(1), 1);
  EXPECT_EQ(learner.State().size(), 3U);
}

TEST(TokenizerLearner, StopsWhereAnEmbeddingIsNaN) {
  auto games = TwoGames();
  for (auto& game : games) {
    game.embeddings.fill_(std::nan(""));
  }
  TokenizerLearner learner(games, SmallConfig(), SeedTree(1));
  EXPECT_THROW(learner.Update(0), training::NotFinite);
  EXPECT_TRUE(learner.BatchOf(0).at("embeddings").isnan().all().item<bool>());
}

TEST(TokenizerLearner, RefusesEmptyGames) {
  EXPECT_THROW(TokenizerLearner({{.embeddings = torch::zeros({0, kDim}), .split = {}}},
                                SmallConfig(), SeedTree(1)),
               Error);
}

}  // namespace
}  // namespace hidreamer::tokenizer
