#include "hidreamer/evaluation/frame_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::evaluation {
namespace {

using testing::ElementsAre;

// Two levels of four codes on a line: the vector of (a, b) is 10 a + b.
tokenizer::ResidualQuantizer LineQuantizer() {
  tokenizer::ResidualQuantizer quantizer(
      tokenizer::ResidualQuantizerOptions{.dim = 1, .levels = 2, .codes = 4});
  const torch::Tensor codes = torch::arange(4, torch::kFloat32).unsqueeze(1);
  tokenizer::CodebookLevel coarse = quantizer->level(0);
  tokenizer::CodebookLevel fine = quantizer->level(1);
  coarse->Start(codes * 10);
  fine->Start(codes);
  quantizer->eval();
  return quantizer;
}

tokenizer::TokenizedGame Game() {
  tokenizer::TokenizedGame game;
  game.tokens = torch::tensor({0, 0, 1, 1, 1, 1, 3, 3, 2, 0}, torch::kInt64).view({5, 2});
  game.episodes = {{0, 3}, {3, 5}};
  return game;
}

TEST(FrameLookupTest, FindsTheSameTupleElseTheNearestVector) {
  const tokenizer::TokenizedGame game = Game();
  const FrameLookup lookup(game, LineQuantizer(), game.episodes);
  // (1,1) is stored at rows 1 and 2; (2,1) = 21 lies nearest to (2,0) = 20; (3,0) = 30 to 33.
  const auto match = lookup.Find(torch::tensor({1, 1, 2, 1, 3, 0}, torch::kInt64).view({3, 2}));
  EXPECT_THAT(match.rows, ElementsAre(1, 4, 3));
  EXPECT_THAT(match.exact, ElementsAre(true, false, false));
}

TEST(FrameLookupTest, LooksAmongTheGivenEpisodesAlone) {
  const tokenizer::TokenizedGame game = Game();
  const FrameLookup lookup(game, LineQuantizer(), {{0, 3}});
  const auto match = lookup.Find(torch::tensor({3, 3}, torch::kInt64).view({1, 2}));
  EXPECT_THAT(match.rows, ElementsAre(1));
  EXPECT_THAT(match.exact, ElementsAre(false));
}

}  // namespace
}  // namespace hidreamer::evaluation
