#include "hidreamer/data/replay_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

constexpr int64_t kBytes = 4;

// Step t of stream s: frame bytes and action tell both apart; a reward every 10th step.
ReplayStep MakeStep(int64_t stream, int64_t t, std::vector<uint8_t>& frame) {
  frame.assign(kBytes, static_cast<uint8_t>(100 * stream + t % 100));
  return {.frame = frame,
          .action = static_cast<int>(t % 3),
          .reward = t % 10 == 7 ? 1.0F : 0.0F,
          .terminal = t % 20 == 19,
          .first = t % 20 == 0};
}

void Fill(ReplayBuffer& replay, int64_t stream, int64_t steps) {
  std::vector<uint8_t> frame;
  for (int64_t i = 0; i < steps; ++i) {
    replay.Append(stream, MakeStep(stream, replay.size(stream), frame));
  }
}

std::filesystem::path TemporaryDirectory(const std::string& name) {
  const auto path = std::filesystem::temp_directory_path() / ("hid_replay_" + name);
  std::filesystem::remove_all(path);
  return path;
}

TEST(ReplayBuffer, ReadsWhatWasAppended) {
  ReplayBuffer replay({.streams = 2, .frame_bytes = kBytes});
  Fill(replay, 0, 30);
  Fill(replay, 1, 25);
  EXPECT_EQ(replay.size(), 55);
  const auto batch = replay.Read({{.source = 1, .row = 17}, {.source = 0, .row = 0}}, 5);
  EXPECT_EQ(batch.actions, (std::vector<int64_t>{2, 0, 1, 2, 0, 0, 1, 2, 0, 1}));
  EXPECT_EQ(batch.previous_actions, (std::vector<int64_t>{1, 2, 0, 1, 2, 0, 0, 1, 2, 0}));
  EXPECT_EQ(batch.rewards[0], 1.0F);  // step 17
  EXPECT_EQ(batch.terminals, (std::vector<uint8_t>{0, 0, 1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.firsts, (std::vector<uint8_t>{0, 0, 0, 1, 0, 1, 0, 0, 0, 0}));
  EXPECT_EQ(batch.frames[0], 117);
  EXPECT_EQ(batch.frames[5 * kBytes], 0);
  EXPECT_THROW(replay.Read({{.source = 0, .row = 28}}, 5), Error);
}

TEST(ReplayBuffer, DrawsEveryWindowAndNoOther) {
  ReplayBuffer replay({.streams = 2, .frame_bytes = kBytes});
  Fill(replay, 0, 12);
  Fill(replay, 1, 8);
  EXPECT_FALSE(replay.CanSample(13));
  Rng rng(1);
  std::vector<std::vector<int>> seen = {std::vector<int>(12), std::vector<int>(8)};
  for (const auto& start : replay.Sample(4000, 5, {}, rng)) {
    ++seen.at(static_cast<size_t>(start.source)).at(static_cast<size_t>(start.row));
  }
  for (size_t stream = 0; stream < 2; ++stream) {
    const size_t windows = stream == 0 ? 8 : 4;
    for (size_t step = 0; step < seen[stream].size(); ++step) {
      EXPECT_EQ(seen[stream][step] > 0, step < windows) << stream << " " << step;
      EXPECT_LT(seen[stream][step], 450);  // 333 expected of each
    }
  }
}

TEST(ReplayBuffer, FavoursRewardsAndNewSteps) {
  ReplayBuffer replay({.streams = 2, .frame_bytes = kBytes});
  Fill(replay, 0, 400);
  Fill(replay, 1, 400);
  Rng rng(2);
  for (const auto& start : replay.Sample(300, 9, {.near_reward_share = 1, .horizon = 4}, rng)) {
    const auto batch = replay.Read({start}, 9);
    EXPECT_GT(*std::max_element(batch.rewards.begin() + 5, batch.rewards.end()), 0);
  }
  for (const auto& start : replay.Sample(300, 9, {.recent_share = 1, .recent_steps = 100}, rng)) {
    EXPECT_GE(start.row, 350);
  }
}

TEST(ReplayBuffer, ShowsRareGainsAsOftenAsLosses) {
  ReplayBuffer replay({.streams = 1, .frame_bytes = kBytes});
  const std::vector<uint8_t> frame(kBytes);
  for (int64_t t = 0; t < 1000; ++t) {
    const float reward = t == 500 ? 1.0F : t % 10 == 9 ? -1.0F : 0.0F;
    replay.Append(0, {.frame = frame, .action = 0, .reward = reward, .first = t == 0});
  }
  Rng rng(4);
  int gains = 0;
  const auto starts = replay.Sample(1000, 6, {.near_reward_share = 1, .horizon = 6}, rng);
  for (const auto& start : starts) {
    gains += start.row <= 500 && 500 < start.row + 6 ? 1 : 0;
  }
  EXPECT_NEAR(gains, 500, 60);
}

TEST(ReplayBuffer, ComesBackToTheBitAfterAKill) {
  const auto directory = TemporaryDirectory("kill");
  ReplayBuffer replay({.streams = 2, .frame_bytes = kBytes});
  Fill(replay, 0, 40);
  Fill(replay, 1, 30);
  replay.Save(directory);
  Fill(replay, 0, 15);
  const std::vector<int64_t> sizes = replay.Save(directory);
  EXPECT_EQ(sizes, (std::vector<int64_t>{55, 30}));
  Rng rng(3);
  const auto starts = replay.Sample(20, 6, {.near_reward_share = 0.5}, rng);
  const auto batch = replay.Read(starts, 6);
  // A run killed later has written more than its checkpoint knows of; whoever reads leaves it
  // there.
  Fill(replay, 1, 25);
  replay.Save(directory);

  ReplayBuffer resumed({.streams = 2, .frame_bytes = kBytes});
  resumed.Load(directory, sizes);
  Rng again(3);
  EXPECT_EQ(resumed.Sample(20, 6, {.near_reward_share = 0.5}, again), starts);
  EXPECT_EQ(std::filesystem::file_size(directory / "stream_01.frames"), 55U * kBytes);
  const auto batch_again = resumed.Read(starts, 6);
  EXPECT_EQ(batch_again.frames, batch.frames);
  EXPECT_EQ(batch_again.rewards, batch.rewards);
  // And goes on where the checkpoint was.
  Fill(resumed, 1, 2);
  EXPECT_EQ(resumed.Save(directory), (std::vector<int64_t>{55, 32}));
  EXPECT_EQ(std::filesystem::file_size(directory / "stream_01.frames"), 32U * kBytes);
}

TEST(ReplayBuffer, SaysWhatIsMissing) {
  const auto directory = TemporaryDirectory("missing");
  ReplayBuffer replay({.streams = 1, .frame_bytes = kBytes});
  Fill(replay, 0, 10);
  replay.Save(directory);
  ReplayBuffer other({.streams = 2, .frame_bytes = kBytes});
  EXPECT_THROW(other.Load(directory, {10}), Error);
  EXPECT_THROW(replay.Load(directory, {11}), Error);
  std::filesystem::remove(directory / "stream_00.steps");
  EXPECT_THROW(replay.Load(directory, {10}), Error);
}

}  // namespace
}  // namespace hidreamer::data
