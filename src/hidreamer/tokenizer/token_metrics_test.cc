#include "hidreamer/tokenizer/token_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::tokenizer {
namespace {

TokenizedGame Game(const torch::Tensor& tokens, std::vector<data::EpisodeRange> episodes,
                   int64_t codes) {
  TokenizedGame game;
  game.tokens = tokens.dim() == 1 ? tokens.unsqueeze(1) : tokens;
  game.episodes = std::move(episodes);
  game.codes = codes;
  return game;
}

TEST(Perplexity, OfKnownDistributions) {
  EXPECT_NEAR(Perplexity(torch::ones({256}, torch::kLong) * 3), 256, 1e-9);
  EXPECT_NEAR(Perplexity(torch::tensor({0, 7, 0, 0})), 1, 1e-12);
  EXPECT_NEAR(Perplexity(torch::tensor({2, 1, 1})), std::pow(2.0, 1.5), 1e-9);
}

TEST(MeasureTokens, CountsNeighboursInsideEpisodesOnly) {
  // 0 0 1 | 1 1 3: equal neighbours 0-0 and 1-1; the pair across the border does not count.
  const TokenizedGame game = Game(torch::tensor({0, 0, 1, 1, 1, 3}), {{0, 3}, {3, 6}}, 8);
  const auto levels = MeasureTokens({&game});
  ASSERT_EQ(levels.size(), 1U);
  EXPECT_DOUBLE_EQ(levels[0].smoothness, 0.5);
  EXPECT_EQ(levels[0].used, 3);
  EXPECT_EQ(levels[0].dead, 5);
  EXPECT_NEAR(levels[0].chance_smoothness, (4 + 9 + 1) / 36.0, 1e-12);
}

TEST(MeasureTokens, JoinsGames) {
  const TokenizedGame a = Game(torch::tensor({0, 0}), {{0, 2}}, 4);
  const TokenizedGame b = Game(torch::tensor({1, 2}), {{0, 2}}, 4);
  const auto joint = MeasureTokens({&a, &b});
  EXPECT_EQ(joint[0].used, 3);
  EXPECT_DOUBLE_EQ(joint[0].smoothness, 0.5);
}

TEST(MeasureReconstruction, IsZeroForCodewordsThemselves) {
  ResidualQuantizer quantizer(ResidualQuantizerOptions{.dim = 6, .levels = 2, .codes = 4});
  torch::manual_seed(1);
  Rng rng(1);
  quantizer->Seed(torch::randn({100, 6}), rng);
  const torch::Tensor codes = torch::tensor({{0, 1}, {3, 2}, {1, 1}});
  const auto metrics = MeasureReconstruction(quantizer, quantizer->Decode(codes), codes);
  EXPECT_NEAR(metrics.squared_error[1], 0, 1e-10);
  EXPECT_NEAR(metrics.explained[1], 1, 1e-9);
  EXPECT_GT(metrics.squared_error[0], 0.01);
}

TEST(MeasureSharing, TellsSeparateFromSharedCodes) {
  // Level 0 names the game, level 1 is the same in both.
  const torch::Tensor shared = torch::arange(400).remainder(4);
  const TokenizedGame a =
      Game(torch::stack({torch::zeros({400}, torch::kLong), shared}, 1), {{0, 400}}, 4);
  const TokenizedGame b =
      Game(torch::stack({torch::ones({400}, torch::kLong), shared}, 1), {{0, 400}}, 4);
  const auto levels = MeasureSharing({&a, &b}, SeedTree(1));
  EXPECT_EQ(levels[0].used_by, (std::vector<int64_t>{2, 2, 0}));
  EXPECT_NEAR(levels[0].mutual_information, 1, 1e-9);
  EXPECT_LT(levels[0].shuffled_mutual_information, 0.02);
  EXPECT_EQ(levels[1].used_by, (std::vector<int64_t>{0, 0, 4}));
  EXPECT_NEAR(levels[1].mutual_information, 0, 1e-9);
  EXPECT_NEAR(levels[1].game_entropy, 1, 1e-9);
}

}  // namespace
}  // namespace hidreamer::tokenizer
