#include "hidreamer/data/left_out.h"

#include <gtest/gtest.h>

namespace hidreamer::data {
namespace {

TEST(LeftOut, CountsEpisodesThatHoldNoWindow) {
  const std::vector<EpisodeRange> episodes = {{0, 6}, {6, 12}, {12, 212}, {212, 218}};
  EXPECT_EQ(ShorterThan(episodes, 6).episodes, 0);
  const LeftOut left_out = ShorterThan(episodes, 7);
  EXPECT_EQ(left_out.episodes, 3);
  EXPECT_EQ(left_out.steps, 18);
}

TEST(LeftOut, IsSaid) {
  testing::internal::CaptureStdout();
  NoteLeftOut("world_model", "catch", {{0, 6}, {6, 206}}, 64);
  NoteLeftOut("world_model", "pong", {{0, 64}}, 64);
  const std::string said = testing::internal::GetCapturedStdout();
  EXPECT_NE(said.find("world_model leaves out 1 of 2 episodes of catch (6 of 206 steps): they are "
                      "shorter than 64 steps"),
            std::string::npos)
      << said;
  EXPECT_EQ(said.find("pong"), std::string::npos);
}

}  // namespace
}  // namespace hidreamer::data
