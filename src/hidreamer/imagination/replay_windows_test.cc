#include "hidreamer/imagination/replay_windows.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {
namespace {

// One reward in 144 rows, at row 60: episode [48, 72), 12 rows after its start.
tokenizer::TokenizedGame SparseGame() {
  auto game = TinyGame();
  game.rewards.zero_();
  game.rewards[60] = 5;
  game.terminals.zero_();
  // Rows name themselves through the tokens.
  game.tokens = torch::arange(144, torch::kLong).unsqueeze(1).expand({144, 2}).contiguous();
  return game;
}

// (B, T) of the first level: the rows.
torch::Tensor CodesOf(const world_model::Steps& steps) {
  return steps.codes.select(2, 0).select(2, 0);
}

TEST(ReplayWindows, StayInsideEpisodes) {
  const auto game = SparseGame();
  const ReplayWindows windows(game, game.episodes);
  EXPECT_EQ(windows.longest(), 24);
  Rng rng(1);
  const auto rows = CodesOf(windows.Draw(64, 10, 0.5, rng).steps);
  const auto first = rows.select(1, 0), last = rows.select(1, 9);
  EXPECT_TRUE(torch::equal(first.div(24, "floor"), last.div(24, "floor")));
  EXPECT_TRUE(torch::equal(last - first, torch::full({64}, 9, torch::kLong)));
  EXPECT_THROW(windows.Draw(2, 25, 0.5, rng), Error);
}

TEST(ReplayWindows, ContextsStandStillBeforeTheirEpisode) {
  auto game = SparseGame();
  game.actions.fill_(1);
  const ReplayWindows windows(game, game.episodes);
  Rng rng(1);
  const auto batch = windows.DrawContexts(2000, 10, 15, 0.5, rng);
  const auto rows = CodesOf(batch);  // (B, T)
  const auto last = rows.narrow(1, 9, 1), begin = last.div(24, "floor") * 24;
  const auto wanted = last + torch::arange(-9, 1, torch::kLong);
  EXPECT_TRUE(rows.equal(torch::maximum(wanted, begin)));
  EXPECT_TRUE(batch.actions.equal(wanted.ge(begin).to(torch::kLong)));
  EXPECT_TRUE((last == 144 - 1).any().item<bool>() && (last == 0).any().item<bool>());
}

TEST(ReplayWindows, OftenDrawnRewardsWeighLess) {
  const auto game = SparseGame();
  const ReplayWindows windows(game, game.episodes);
  Rng rng(2);
  const auto batch = windows.Draw(4000, 10, 0.5, rng);
  const auto eventful = (batch.steps.rewards != 0).any(1);
  EXPECT_GT(eventful.to(torch::kFloat64).mean().item<double>(), 0.45);
  // 10 of the 90 windows hold the reward.
  const auto weighted = (batch.weights * eventful).to(torch::kFloat64).mean().item<double>();
  EXPECT_NEAR(weighted, 10.0 / 90, 0.01);
  EXPECT_NEAR(batch.weights.mean().item<double>(), 1, 0.05);
}

TEST(ReplayWindows, ContextsNearRewardsCanReachThem) {
  const auto game = SparseGame();
  const ReplayWindows windows(game, game.episodes);
  Rng rng(3);
  const auto last = CodesOf(windows.DrawContexts(300, 4, 6, 1.0, rng)).select(1, 3);
  EXPECT_GE(last.min().item<int64_t>(), 60 - 5);
  EXPECT_LE(last.max().item<int64_t>(), 60);
  EXPECT_EQ(std::get<0>(at::_unique(last)).numel(), 6);
}

TEST(ReplayWindows, TellEndsFromCuts) {
  const auto game = TinyGame();
  const ReplayWindows windows(game, game.episodes);
  const auto batch = windows.At({20, 44}, 4);  // the first episode ends, the second is cut off
  EXPECT_TRUE(batch.terminals[0][3].item<bool>());
  EXPECT_FALSE(batch.terminals[1][3].item<bool>());
  EXPECT_EQ(batch.terminals.sum().item<int64_t>(), 1);
}

}  // namespace
}  // namespace hidreamer::imagination
