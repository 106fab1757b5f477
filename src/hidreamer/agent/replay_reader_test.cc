#include "hidreamer/agent/replay_reader.h"

#include <gtest/gtest.h>

#include "hidreamer/training/device.h"

namespace hidreamer::agent {
namespace {

TEST(ReplayReader, GivesTheReplaysFramesOnEveryDevice) {
  for (const char* name : {"cpu", "cuda"}) {
    if (std::string(name) == "cuda" && !torch::cuda::is_available()) {
      continue;
    }
    data::ReplayBuffer replay({.streams = 2, .frame_bytes = kObservationBytes});
    ReplayReader reader(replay, training::UseDevice(name));
    uint8_t gray = 0;
    for (int round = 0; round < 3; ++round) {  // it grows beyond its first room
      for (int64_t stream = 0; stream < 2; ++stream) {
        for (int t = 0; t < 5; ++t) {
          replay.Append(stream, {.frame = std::vector<uint8_t>(kObservationBytes, gray++)});
        }
      }
      reader.Follow();
      const auto frames = reader.Frames({{.source = 1, .row = 5 * round + 2}, {0, 0}}, 3).cpu();
      EXPECT_EQ(frames.sizes(), (torch::IntArrayRef{6, 1, 64, 64}));
      const auto seen = frames.select(1, 0).select(1, 9).select(1, 11).mul(255).round();
      const float first = static_cast<float>(10 * round + 7);
      EXPECT_TRUE(seen.equal(torch::tensor({first, first + 1, first + 2, 0.0F, 1.0F, 2.0F})));
    }
  }
}

}  // namespace
}  // namespace hidreamer::agent
