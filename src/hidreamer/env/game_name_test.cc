#include "hidreamer/env/game_name.h"

#include <gtest/gtest.h>

#include "hidreamer/env/registry.h"

namespace hidreamer::env {
namespace {

TEST(GameName, UnderstandsGymsNames) {
  for (const char* name : {"pong", "Pong", "ALE/Pong-v5", "Pong-v4", "Pong-v0",
                           "PongNoFrameskip-v4", "PongDeterministic-v4", "PONG"}) {
    EXPECT_EQ(GameName(name), "pong") << name;
  }
  for (const char* name : {"MsPacman", "ms_pacman", "ms-pacman", "ALE/MsPacman-v5", "mspacman",
                           "MsPacmanNoFrameskip-v4", "Ms. Pacman"}) {
    EXPECT_EQ(GameName(name), "ms_pacman") << name;
  }
  EXPECT_EQ(GameName("UpNDown"), "up_n_down");
  EXPECT_EQ(GameName("ALE/TicTacToe3D-v5"), "tic_tac_toe_3d");
  EXPECT_EQ(GameName("Atlantis2-v5"), "atlantis2");
  EXPECT_EQ(GameName("Catch"), "catch");
}

TEST(GameName, LeavesEveryKnownNameAndUnknownOnesAsTheyAre) {
  for (const std::string& name : GameNames()) {
    EXPECT_EQ(GameName(name), name);
  }
  for (const char* name : {"my_game", "", "ALE/", "-v5", "Pong-ram-v5", "unknown"}) {
    EXPECT_EQ(GameName(name), name);
  }
}

TEST(NearestGame, SaysWhatWasMeant) {
  EXPECT_EQ(NearestGame("pnog"), "pong");
  EXPECT_EQ(NearestGame("ALE/Brekout-v5"), "breakout");
  EXPECT_EQ(NearestGame("cacth"), "catch");
  EXPECT_EQ(NearestGame("ms_pacmann"), "ms_pacman");
  EXPECT_EQ(NearestGame("a game of my own"), "");
}

}  // namespace
}  // namespace hidreamer::env
