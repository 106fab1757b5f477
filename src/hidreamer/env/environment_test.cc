// Properties that every environment has, and those of single games.
#include "hidreamer/env/environment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "hidreamer/base/error.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/env/atari_games.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"
#include "hidreamer/env/thread_team.h"
#include "hidreamer/env/vector_environment.h"

namespace hidreamer::env {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string game;
  std::string protocol;
};

bool HasLabels(const std::string& game) { return !RamLabels(game).empty(); }

// Every registered game that names its variables. The hundred others of Atari are one class and
// take minutes: below, each is tried in short.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const std::string& game : ListGames()) {
    if (HasLabels(game)) {
      cases.push_back({game, "atari100k"});
      cases.push_back({game, "v5"});
    }
  }
  return cases;
}

// Frames, RAM, rewards and ends of `steps` random steps, as one string.
std::string Play(Environment& game, uint64_t seed, int steps) {
  Rng rng(seed + 1000);
  std::string trace;
  const auto observe = [&] {
    trace.append(game.frame().begin(), game.frame().end());
    trace.append(game.ram().begin(), game.ram().end());
  };
  game.Reset(seed);
  observe();
  for (int i = 0; i < steps; ++i) {
    const StepResult result = game.Step(static_cast<int>(rng.UniformInt(game.num_actions())));
    observe();
    trace += std::to_string(result.reward) + (result.terminal ? "T" : ".");
    if (result.terminal || result.truncated) {
      game.Reset(seed + static_cast<uint64_t>(i));
      observe();
    }
  }
  return trace;
}

class EveryEnvironment : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Environment> Make(int64_t max_frames = 108000) const {
    return MakeEnvironment(GetParam().game, GetParam().protocol, {.max_frames = max_frames});
  }
};

TEST_P(EveryEnvironment, FollowsFromTheSeedAlone) {
  const auto fresh = Make();
  const auto used = Make();
  Play(*used, 77, 400);  // leaves the instance in the middle of a game
  const std::string trace = Play(*fresh, 5, 120);
  EXPECT_EQ(trace, Play(*used, 5, 120));
  EXPECT_NE(trace, Play(*used, 6, 120));
}

TEST_P(EveryEnvironment, ShowsMovingPictures) {
  const auto game = Make();
  game->Reset(1);
  EXPECT_EQ(game->frame().size(), size_t{84 * 84});
  const auto [low, high] = std::minmax_element(game->frame().begin(), game->frame().end());
  EXPECT_LT(*low + 50, *high);
  Rng rng(2);
  int changed = 0;
  for (int i = 0; i < 60; ++i) {
    const std::vector<uint8_t> before(game->frame().begin(), game->frame().end());
    game->Step(static_cast<int>(rng.UniformInt(game->num_actions())));
    changed += std::equal(before.begin(), before.end(), game->frame().begin()) ? 0 : 1;
  }
  EXPECT_GT(changed, 10);
}

// As gray and as small it is the frame: colours and size are all that differ.
TEST_P(EveryEnvironment, ShowsTheSameInColours) {
  const auto game = Make();
  game->Reset(3);
  for (int step = 0; step < 5; ++step) {
    const Screen screen = game->screen();
    ASSERT_EQ(screen.rgb.size(), static_cast<size_t>(3 * screen.height * screen.width));
    std::vector<uint8_t> gray;
    for (size_t i = 0; i < screen.rgb.size(); i += 3) {
      gray.push_back(static_cast<uint8_t>(std::lround(
          0.299 * screen.rgb[i] + 0.587 * screen.rgb[i + 1] + 0.114 * screen.rgb[i + 2])));
    }
    std::array<uint8_t, kFrameBytes> frame;
    AreaResizer(screen.height, screen.width, kFrameSize, kFrameSize)
        .Resize(gray.data(), frame.data());
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), game->frame().begin())) << step;
    game->Step(step % game->num_actions());
  }
}

TEST_P(EveryEnvironment, RefusesWrongActions) {
  const auto game = Make();
  game->Reset(1);
  EXPECT_THROW(game->Step(-1), Error);
  EXPECT_THROW(game->Step(game->num_actions()), Error);
}

TEST_P(EveryEnvironment, TruncatesAtTheFrameLimitAndPlaysOnAfterReset) {
  const auto game = Make(/*max_frames=*/100);
  for (int episode = 0; episode < 2; ++episode) {
    game->Reset(4);
    StepResult result;
    int steps = 0;
    while (!result.truncated && steps < 100) {
      result = game->Step(0);
      ++steps;
    }
    EXPECT_TRUE(result.truncated);
    EXPECT_FALSE(result.terminal);
    EXPECT_GE(steps, 15);
    EXPECT_LE(steps, 25);
    EXPECT_THROW(game->Step(0), Error);
  }
}

TEST_P(EveryEnvironment, PlaysUnderEveryFrameLimit) {
  for (const int64_t limit : {1, 3, 4, 5, 31}) {
    const auto game = Make(limit);
    for (uint64_t seed = 0; seed < 4; ++seed) {
      game->Reset(seed);
      StepResult result;
      int64_t steps = 0;
      while (!result.truncated) {
        ASSERT_LE(4 * steps, limit);
        result = game->Step(0);
        ++steps;
      }
      EXPECT_FALSE(result.terminal);
    }
  }
}

TEST_P(EveryEnvironment, NamesItsActionsAndRam) {
  const auto game = Make();
  EXPECT_EQ(game->spec().game, GetParam().game);
  EXPECT_EQ(game->spec().protocol, GetParam().protocol);
  EXPECT_GE(game->num_actions(), 2);
  std::set<std::string> names;
  for (const RamLabel& label : RamLabels(GetParam().game)) {
    EXPECT_GE(label.byte, 0);
    EXPECT_LT(label.byte, kRamBytes);
    EXPECT_TRUE(names.insert(label.name).second) << label.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Games, EveryEnvironment, ::testing::ValuesIn(Cases()),
                         [](const auto& test) {
                           return test.param.game + "_" + test.param.protocol;
                         });

double ScriptedScore(const std::string& game, int episodes) {
  VectorEnvironment games(1, 1, [&] { return MakeEnvironment(game, "atari100k"); });
  const auto player = MakePlayer("scripted");
  std::vector<Rng> rngs = {Rng(1)};
  double score = 0;
  for (int episode = 0; episode < episodes; ++episode) {
    games.Reset(0, static_cast<uint64_t>(episode));
    bool over = false;
    while (!over) {
      const StepResult result = games.Step(player->Act(games.Views(), rngs))[0];
      score += result.reward;
      over = result.terminal || result.truncated;
    }
  }
  return score / episodes;
}

TEST(Catch, PerfectPlayScoresTen) {
  constexpr int kStay = 0, kLeft = 1, kRight = 2;
  const auto made = MakeEnvironment("catch", "atari100k");
  Environment& game = *made;
  const auto ball_byte = static_cast<size_t>(RamByte("catch", "ball_x"));
  const auto paddle_byte = static_cast<size_t>(RamByte("catch", "paddle_x"));
  for (uint64_t seed = 0; seed < 20; ++seed) {
    game.Reset(seed);
    StepResult result;
    double score = 0;
    int steps = 0;
    while (!result.terminal) {
      const int ball = game.ram()[ball_byte];
      const int paddle = game.ram()[paddle_byte];
      result = game.Step(ball < paddle ? kLeft : ball > paddle ? kRight : kStay);
      score += result.reward;
      ++steps;
    }
    EXPECT_EQ(score, 10);
    EXPECT_EQ(steps, 110);
  }
}

TEST(ScriptedPlayer, CatchesNearlyEveryBall) { EXPECT_GT(ScriptedScore("catch", 20), 8.0); }

template <class Call>
bool Throws(Call call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

// What is wrong with a game; empty where all is well.
std::string Complaint(const std::string& name, const std::string& protocol) {
  try {
    const auto fresh = MakeEnvironment(name, protocol);
    const auto used = MakeEnvironment(name, protocol, {.max_frames = 2000});
    if (fresh->num_actions() < 2) {
      return "has fewer than two actions";
    }
    Play(*used, 77, 40);  // leaves the instance in the middle of a game
    const std::string trace = Play(*fresh, 5, 50);
    if (trace != Play(*used, 5, 50)) {
      return "plays otherwise after another episode";
    }
    if (!Throws([&] { fresh->Step(-1); }) || !Throws([&] { fresh->Step(fresh->num_actions()); })) {
      return "takes any action";
    }
    StepResult result;
    int64_t steps = 50;  // played by Play, unless an episode ended
    for (; !result.truncated && !result.terminal && steps <= 500; ++steps) {
      result = used->Step(0);
    }
    if (steps > 500) {
      return "has no frame limit";
    }
    const auto [low, high] = std::minmax_element(fresh->frame().begin(), fresh->frame().end());
    return *high - *low < 30 ? "shows nothing" : "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(EveryListedGame, PlaysAndFollowsFromTheSeedAlone) {
  std::vector<std::string> games = ListGames();
#ifdef HID_WITH_ALE
  EXPECT_EQ(games, GameNames()) << "some ROMs are missing";
#endif
  std::erase_if(games, HasLabels);
  std::vector<std::string> complaints(games.size());
  ThreadTeam team(ThreadCount(0));
  team.ForEach(static_cast<int>(games.size()), [&](int index) {
    const auto i = static_cast<size_t>(index);
    complaints[i] = Complaint(games[i], i % 2 == 0 ? "atari100k" : "v5");
  });
  for (size_t i = 0; i < games.size(); ++i) {
    EXPECT_EQ(complaints[i], "") << games[i];
  }
}

TEST(MakeEnvironment, UnderstandsGymsNames) {
  EXPECT_EQ(MakeEnvironment("Catch", "v5")->spec().game, "catch");
#ifdef HID_WITH_ALE
  EXPECT_EQ(MakeEnvironment("ALE/MsPacman-v5", "v5")->spec().game, "ms_pacman");
  EXPECT_EQ(MakeEnvironment("UpNDown", "v5")->spec().game, "up_n_down");
#endif
}

TEST(MakeEnvironment, NamesTheNearestProtocolAndGame) {
  EXPECT_THROW(MakeEnvironment("catch", "v6"), Error);
#ifdef HID_WITH_ALE
  try {
    MakeEnvironment("pnog", "v5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    EXPECT_NE(error.hint().find("pong"), std::string::npos) << error.hint();
  }
#endif
}

#ifdef HID_WITH_ALE

TEST(Atari, ActionsMoveThePaddle) {
  const auto game = MakeEnvironment("pong", "atari100k");
  const auto player_y = static_cast<size_t>(RamByte("pong", "player_y"));
  game->Reset(1);
  for (int i = 0; i < 40; ++i) {
    game->Step(2);
  }
  const int top = game->ram()[player_y];
  for (int i = 0; i < 12; ++i) {
    game->Step(3);
  }
  EXPECT_GT(game->ram()[player_y], top + 50);
}

TEST(Atari, MinimalActionSets) {
  EXPECT_EQ(MakeEnvironment("pong", "v5")->spec().action_names,
            (std::vector<std::string>{"NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"}));
  EXPECT_EQ(MakeEnvironment("ms_pacman", "v5")->num_actions(), 9);
}

TEST(Atari, ScriptedPlayerBreaksBricks) { EXPECT_GT(ScriptedScore("breakout", 2), 4.0); }

TEST(Atari, BadRomsAreUserErrors) {
  const fs::path directory = fs::path(::testing::TempDir()) / "roms";
  const fs::path real = FindRomDirectory() / "breakout.bin";
  const auto kind = [&] {
    try {
      MakeEnvironment("pong", "v5", {.rom_dir = directory});
    } catch (const Error& error) {
      return error.kind();
    }
    return Error::Kind::kInternal;
  };
  fs::remove_all(directory);
  EXPECT_EQ(kind(), Error::Kind::kUser) << "no directory";
  fs::create_directories(directory);
  EXPECT_EQ(kind(), Error::Kind::kUser) << "no file";
  fs::create_directories(directory / "pong.bin");
  EXPECT_EQ(kind(), Error::Kind::kUser) << "a directory";
  fs::remove_all(directory / "pong.bin");
  std::ofstream(directory / "pong.bin") << std::string(2048, 'x');
  EXPECT_EQ(kind(), Error::Kind::kUser) << "garbage";
  fs::resize_file(directory / "pong.bin", 0);
  EXPECT_EQ(kind(), Error::Kind::kUser) << "empty";
  fs::copy_file(real, directory / "pong.bin", fs::copy_options::overwrite_existing);
  EXPECT_EQ(kind(), Error::Kind::kUser) << "another game";
}

#endif

}  // namespace
}  // namespace hidreamer::env
