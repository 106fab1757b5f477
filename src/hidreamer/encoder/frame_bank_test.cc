#include "hidreamer/encoder/frame_bank.h"

#include <gtest/gtest.h>

#include "hidreamer/encoder/test_recording.h"

namespace hidreamer::encoder {
namespace {

TEST(FrameBank, GathersWhatTheRecordingsHold) {
  const TestRecording first("bank_first", 2, 20), second("bank_second", 3, 9);
  data::EpisodeStore stores[] = {first.Open(), second.Open()};
  std::vector<EncoderGame> games;
  std::vector<FrameRow> rows;
  for (int32_t g = 0; g < 2; ++g) {
    data::EpisodeStore& store = stores[g];
    games.push_back({.store = &store, .split = {.train = store.episodes(), .validation = {}}});
    for (int64_t row = store.size() - 1; row >= 0; --row) {  // starts of episodes among them
      rows.push_back({.game = g, .episode = 0, .row = row});
    }
  }
  const FrameBank bank(games, torch::kCPU);
  EXPECT_EQ(BytesOfFrames(games), (2 * 20 + 3 * 9) * int64_t{env::kFrameBytes});
  EXPECT_TRUE(bank.Gather(bank.PlacesOf(rows)).equal(GatherFrames(games, rows)));
}

}  // namespace
}  // namespace hidreamer::encoder
