#include "hidreamer/env/vector_environment.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"

namespace hidreamer::env {
namespace {

std::vector<std::vector<uint8_t>> PlayOn(int threads) {
  VectorEnvironment games(5, threads, [] { return MakeEnvironment("catch", "v5"); });
  MixturePlayer player;
  std::vector<Rng> rngs;
  for (int slot = 0; slot < games.size(); ++slot) {
    rngs.emplace_back(static_cast<uint64_t>(slot));
    games.Reset(slot, static_cast<uint64_t>(slot));
  }
  std::vector<std::vector<uint8_t>> seen(5);
  for (int step = 0; step < 150; ++step) {
    games.Play(player, rngs, [&](int slot, int action, const StepResult& result) {
      EXPECT_LT(action, 3);
      if (result.terminal) {
        games.Reset(slot, 100 + static_cast<uint64_t>(slot));
      }
      auto& log = seen[static_cast<size_t>(slot)];
      log.insert(log.end(), games.stack(slot), games.stack(slot) + 4 * kFrameBytes);
    });
  }
  return seen;
}

TEST(VectorEnvironment, ThreadsChangeNothing) { EXPECT_EQ(PlayOn(1), PlayOn(3)); }

TEST(VectorEnvironment, LeavesIdleGamesAlone) {
  VectorEnvironment games(2, 1, [] { return MakeEnvironment("catch", "atari100k"); });
  games.Reset(0, 1);
  games.Reset(1, 2);
  games.Step({VectorEnvironment::kIdle, 0});
  EXPECT_TRUE(games.Views()[0].first);
  EXPECT_FALSE(games.Views()[1].first);
}

// A player that chooses for none of the games it is shown.
class SilentPlayer : public Player {
 public:
  std::vector<int> Act(const std::vector<PlayerView>&, std::vector<Rng>&) override { return {}; }
  std::string name() const override { return "silent"; }
};

TEST(VectorEnvironment, PlaysTheGamesThatItIsAskedTo) {
  VectorEnvironment games(3, 1, [] { return MakeEnvironment("catch", "atari100k"); });
  for (int slot = 0; slot < 3; ++slot) {
    games.Reset(slot, 1);
  }
  RandomPlayer player;
  std::vector<Rng> rngs(3, Rng(1));
  const VectorEnvironment::Played played = games.Play({0, 2}, player, rngs);
  EXPECT_GE(played.actions[0], 0);
  EXPECT_EQ(played.actions[1], VectorEnvironment::kIdle);
  EXPECT_TRUE(games.Views()[1].first);
  EXPECT_FALSE(games.Views()[2].first);
  SilentPlayer silent;
  EXPECT_THROW(games.Play({0, 2}, silent, rngs), Error);
}

TEST(FrameStack, RepeatsTheFirstFrameAndDropsTheOldest) {
  std::array<uint8_t, kFrameBytes> frame{};
  FrameStack stack;
  for (uint8_t gray = 1; gray <= 6; ++gray) {
    frame.fill(gray);
    gray == 1 ? stack.Reset(frame) : stack.Push(frame);
    const int oldest = std::max(1, gray - 3);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(stack.data()[i * kFrameBytes + 17],
                gray <= 3 ? std::max(1, gray - 3 + i) : oldest + i);
    }
  }
}

TEST(ThreadTeam, DoesEveryPieceOnceAndRethrowsTheFirstFailure) {
  ThreadTeam team(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> done(17);
    team.ForEach(17, [&](int i) { ++done[static_cast<size_t>(i)]; });
    for (const auto& count : done) {
      ASSERT_EQ(count, 1);
    }
  }
  try {
    team.ForEach(10, [](int i) {
      if (i >= 4) {
        throw std::runtime_error(std::to_string(i));
      }
    });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "4");
  }
}

}  // namespace
}  // namespace hidreamer::env
