#include "hidreamer/encoder/frame_pairs.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "hidreamer/base/error.h"
#include "hidreamer/encoder/test_recording.h"

namespace hidreamer::encoder {
namespace {

TEST(AnchorsOf, NeverPairsAcrossEpisodes) {
  EncoderGame game;
  game.split.train = {{0, 3}, {5, 6}, {6, 8}};
  game.split.validation = {{3, 5}};
  std::vector<int64_t> rows;
  for (const FrameRow& anchor : AnchorsOf({game}, false)) {
    rows.push_back(anchor.row);
  }
  EXPECT_EQ(rows, (std::vector<int64_t>{0, 1, 6}));
  ASSERT_EQ(AnchorsOf({game}, true).size(), 1U);
  EXPECT_EQ(AnchorsOf({game}, true)[0].row, 3);
}

TEST(ExcludedNegatives, LeavesOutNearRowsOfTheSameEpisodeOnly) {
  const std::vector<FrameRow> anchors = {
      {0, 0, 100}, {0, 0, 108}, {0, 0, 109}, {0, 1, 101}, {1, 0, 101}};
  const torch::Tensor excluded = ExcludedNegatives(anchors);
  const auto at = [&excluded](int64_t i, int64_t j) { return excluded[i][j].item<bool>(); };
  EXPECT_TRUE(at(0, 0));
  EXPECT_TRUE(at(0, 1));   // positive 109 is 9 away
  EXPECT_FALSE(at(0, 2));  // positive 110 is 10 away
  EXPECT_TRUE(at(1, 0));   // positive 101 is 7 away
  EXPECT_FALSE(at(0, 3));  // other episode
  EXPECT_FALSE(at(0, 4));  // other game
}

TEST(DrawNegatives, KeepsGameDistanceAndTrainingRows) {
  const TestRecording recording("negatives", 3, 30);
  data::EpisodeStore store = recording.Open();
  EncoderGame game{.store = &store,
                   .split = {.train = {{0, 30}, {60, 90}}, .validation = {{30, 60}}}};
  const std::vector<FrameRow> anchors = AnchorsOf({game}, false);
  Rng rng(1), again(1);
  const auto negatives = DrawNegatives({game}, anchors, rng);
  const auto same = DrawNegatives({game}, anchors, again);
  for (size_t i = 0; i < anchors.size(); ++i) {
    EXPECT_GE(std::abs(negatives[i].row - anchors[i].row), kMinNegativeDistance);
    EXPECT_TRUE(negatives[i].row < 30 || negatives[i].row >= 60);
    EXPECT_EQ(negatives[i].row, same[i].row);
  }
  game.split.train = {{0, 19}};
  EXPECT_THROW(DrawNegatives({game}, AnchorsOf({game}, false), rng), Error);
}

TEST(GatherFrames, ReturnsEachRowsOwnStackInTheGivenOrder) {
  const TestRecording recording("gather", 2, 20);
  data::EpisodeStore store = recording.Open();
  const EncoderGame game{.store = &store, .split = {.train = store.episodes(), .validation = {}}};
  const std::vector<FrameRow> rows = {{0, 1, 27}, {0, 0, 3}, {0, 1, 20}, {0, 1, 27}};
  const torch::Tensor frames = GatherFrames({game}, rows);
  for (int64_t i = 0; i < 4; ++i) {
    torch::Tensor expected = torch::empty({4, 84, 84}, torch::kUInt8);
    store.ReadStack(rows[static_cast<size_t>(i)].row, expected.data_ptr<uint8_t>());
    EXPECT_TRUE(frames[i].equal(expected)) << i;
  }
}

}  // namespace
}  // namespace hidreamer::encoder
