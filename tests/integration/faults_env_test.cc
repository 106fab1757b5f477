// What users met around the games, the cores and several processes, as they met it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "hidreamer/base/files.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

#ifdef HID_WITH_ALE
constexpr const char* kGame = "breakout";
#else
constexpr const char* kGame = "catch";
#endif
const std::string kDebugConfig = std::string(HID_SOURCE_DIR) + "/configs/debug.yaml";

class EnvironmentFaults : public ::testing::Test {
 protected:
  EnvironmentFaults()
      : root_(fs::temp_directory_path() / ("hid_faults_env_" + std::to_string(::getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~EnvironmentFaults() override {
    for (const char* name : {"WORLD_SIZE", "RANK", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PROCID",
                             "SLURM_STEP_NUM_TASKS", "OMP_NUM_THREADS"}) {
      ::unsetenv(name);
    }
    fs::remove_all(root_);
  }

  static Outcome Eval(const std::string& game, std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "--policy", "random", "--game", game});
    return RunProgram(more);
  }

  // Starts a training that waits for others, and ends it by `signal` once it says so.
  Outcome WaitsUntil(int signal) {
    const fs::path log = root_ / "log";
    fs::remove(log);  // of the program before
    ::setenv("MASTER_PORT", std::to_string(20000 + ::getpid() % 20000).c_str(), 1);
    Program program({"train", "world-model", "--run", root_ / "run", "--config", kDebugConfig},
                    log);
    const auto waits = [&] {
      return fs::exists(log) && ReadFile(log).find("waits") != std::string::npos;
    };
    for (int i = 0; i < 600 && !waits(); ++i) {
      if (program.WaitFor(0.05)) {
        return program.Wait();
      }
    }
    program.Signal(signal);
    EXPECT_TRUE(program.WaitFor(5)) << "it ignores the signal";
    program.Signal(SIGKILL);
    return program.Wait();
  }

  fs::path root_;
};

TEST_F(EnvironmentFaults, EveryNumberWithinTheRangeWorks) {
  for (const char* game : {"catch", kGame}) {
    for (const char* protocol : {"atari100k", "v5"}) {
      const Outcome shortest = Eval(
          game, {"--protocol", protocol, "--episodes", "2", "--max-frames", "4", "--threads", "1"});
      EXPECT_EQ(shortest.code, 0) << shortest.text;
      EXPECT_THAT(shortest.text, HasSubstr("2 games were cut off by the frame limit"));
    }
  }
  const Outcome most = Eval(kGame, {"--episodes", "3", "--environments", "1024", "--threads",
                                    "1024", "--max-frames", "5"});
  EXPECT_EQ(most.code, 0) << most.text;
  const Outcome least = RunProgram({"collect", "--game", "catch", "--steps", "1", "--environments",
                                    "1024", "--threads", "1024", "--out", root_ / "least"});
  EXPECT_EQ(least.code, 0) << least.text;
}

TEST_F(EnvironmentFaults, EveryUsualNameOfAGameIsUnderstood) {
  EXPECT_THAT(Eval("Catch-v5", {"--episodes", "1"}).text, HasSubstr("catch (atari100k), 1 games"));
  EXPECT_EQ(RunProgram({"collect", "--game", "CATCH", "--steps", "8", "--out", root_ / "c"}).code,
            0);
  EXPECT_THAT(ReadFile(root_ / "c" / "store.json"), HasSubstr("\"catch\""));
  const Outcome config =
      RunProgram({"run", kDebugConfig, "--defaults", "--set", "games=[ALE/Pong-v5,UpNDown]",
                  "--set", "policy_games=PongNoFrameskip-v4"});
  EXPECT_THAT(config.text, HasSubstr("games: [pong, up_n_down]"));
  EXPECT_THAT(config.text, HasSubstr("policy_games: [pong]"));
  EXPECT_THAT(RunProgram({"agent", "--game", "MsPacman", "--defaults"}).text,
              HasSubstr("game: ms_pacman"));
  const Outcome unknown = Eval("ALE/Pnog-v5", {"--episodes", "1"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("hint: did you mean 'pong'?"));
  EXPECT_EQ(Eval("combat", {"--episodes", "1"}).code, 2) << "is for two";
}

#ifdef HID_WITH_ALE

TEST_F(EnvironmentFaults, GamesWithoutANoOpPlay) {
  for (const char* game : {"backgammon", "video_checkers"}) {
    const Outcome outcome = Eval(game, {"--episodes", "1", "--max-frames", "200"});
    EXPECT_EQ(outcome.code, 0) << outcome.text;
  }
}

TEST_F(EnvironmentFaults, EpisodesDoNotDependOnWhatElseIsPlayed) {
  const auto episodes = [&](const std::string& environments) {
    const fs::path file = root_ / (environments + ".json");
    const Outcome outcome = Eval("qbert", {"--seed", "3", "--episodes", "4", "--environments",
                                           environments, "--max-frames", "3000", "--json", file});
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    return nlohmann::json::parse(ReadFile(file)).at("episodes");
  };
  EXPECT_EQ(episodes("1"), episodes("12"));
}

#endif

TEST_F(EnvironmentFaults, SaysForWhomItWaitsAndEndsOnTheFirstSignal) {
  ::setenv("WORLD_SIZE", "2", 1);
  ::setenv("RANK", "0", 1);
  const Outcome leader = WaitsUntil(SIGTERM);
  EXPECT_EQ(leader.code, 130) << leader.text;
  EXPECT_THAT(leader.text, HasSubstr("WORLD_SIZE = 2: this is process 0 of 2"));
  EXPECT_THAT(leader.text, HasSubstr("for 1 of the others"));
  ::setenv("RANK", "1", 1);
  const Outcome follower = WaitsUntil(SIGINT);
  EXPECT_EQ(follower.code, 130) << follower.text;
  EXPECT_THAT(follower.text, HasSubstr("for process 0"));
  ::unsetenv("RANK");
  const Outcome alone = WaitsUntil(SIGTERM);
  EXPECT_EQ(alone.code, 2);
  EXPECT_THAT(alone.text, HasSubstr("RANK is not set"));
  EXPECT_FALSE(fs::exists(root_ / "run")) << "nothing was begun";
}

TEST_F(EnvironmentFaults, ASlurmBatchScriptWorksAlone) {
  ::setenv("SLURM_NTASKS", "4", 1);
  ::setenv("SLURM_PROCID", "0", 1);
  const Outcome batch = WaitsUntil(SIGTERM);
  EXPECT_THAT(batch.text, Not(HasSubstr("waits")));
  EXPECT_THAT(batch.text, HasSubstr("comes before world_model and is not done"));
  ::setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  const Outcome step = WaitsUntil(SIGTERM);
  EXPECT_EQ(step.code, 130);
  EXPECT_THAT(step.text, HasSubstr("SLURM_STEP_NUM_TASKS = 4"));
  const Outcome run = RunProgram({"run", kDebugConfig, "--out", root_ / "whole"});
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.text, HasSubstr("unset SLURM_STEP_NUM_TASKS"));
}

TEST_F(EnvironmentFaults, OpenMpsSettingIsRespected) {
  ::setenv("OMP_NUM_THREADS", "1", 1);
  EXPECT_THAT(RunProgram({"doctor"}).text, ::testing::ContainsRegex("threads +1\n"));
}

}  // namespace
}  // namespace hidreamer::integration
