#include "hidreamer/evaluation/results.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"

namespace hidreamer::evaluation {
namespace {

RunScores RunOf(const std::string& game, const std::string& setting, int64_t seed,
                std::vector<double> scores) {
  return {.game = game,
          .protocol = "atari100k",
          .setting = setting,
          .seed = seed,
          .scores = std::move(scores)};
}

std::filesystem::path PathOfTest() {
  return std::filesystem::temp_directory_path() / ("hid_results_" + std::to_string(::getpid()));
}

std::string ResultFile(const std::string& game, const std::string& setting, int64_t seed,
                       int64_t cut_off = 0) {
  return nlohmann::json{{"game", game},
                        {"protocol", "atari100k"},
                        {"player", "agent"},
                        {"seed", 0},
                        {"cut_off", cut_off},
                        {"temperature", 0.5},
                        {"trained", {{"setting", setting}, {"seed", seed}, {"seconds", 120}}},
                        {"episodes", {{{"score", 1.0}}, {{"score", 3.0}}}}}
      .dump();
}

TEST(ResultsTest, AggregatesAreThoseOfRliable) {
  // Means of games 2 and 7; all runs 1 2 3 6 7 8, of which the middle half by rank is 2/2 3 6 7/2.
  const RunsByGame runs = {{1, 2, 3}, {6, 7, 8}};
  EXPECT_DOUBLE_EQ(MeanOverGames(runs), 4.5);
  EXPECT_DOUBLE_EQ(MedianOverGames(runs), 4.5);
  EXPECT_DOUBLE_EQ(IqmOverRuns(runs), (0.5 * 2 + 3 + 6 + 0.5 * 7) / 3);
  const std::vector<double> profile = PerformanceProfile(runs, {0, 2, 7, 9});
  EXPECT_EQ(profile, (std::vector<double>{1, (1.0 / 3 + 1) / 2, 1.0 / 6, 0}));
}

TEST(ResultsTest, ABootstrapDrawsRunsWithinTheirGame) {
  // Each game's runs agree, so that no draw can move the mean; over all runs it would.
  const Interval alike =
      StratifiedInterval({{1, 1, 1}, {9, 9, 9}}, MeanOverGames, 0.95, 200, Rng(1));
  EXPECT_DOUBLE_EQ(alike.low, 5);
  EXPECT_DOUBLE_EQ(alike.high, 5);
  const Interval apart =
      StratifiedInterval({{0, 1, 2}, {8, 9, 10}}, MeanOverGames, 0.95, 200, Rng(1));
  EXPECT_LT(apart.low, 5);
  EXPECT_GT(apart.high, 5);
  EXPECT_GE(apart.low, 4);
  EXPECT_LE(apart.high, 6);
}

TEST(ResultsTest, ActionsAtAnotherTemperatureAreAnotherSetting) {
  const TemporaryDirectory directory(PathOfTest());
  auto file = nlohmann::json::parse(ResultFile("pong", "cpu", 1));
  const auto setting = [&] {
    WriteFileAtomically(directory.path() / "pong.json", file.dump());
    return ReadRunScores(directory.path() / "pong.json").setting;
  };
  EXPECT_EQ(setting(), "cpu");
  file["temperature"] = 0.0;
  EXPECT_EQ(setting(), "cpu, actions at temperature 0");
  file.erase("temperature");
  EXPECT_EQ(setting(), "cpu, actions at temperature 1");
}

TEST(ResultsTest, SeedsOfASettingAreOneRowAndTheErrorIsOverSeeds) {
  const Results results =
      Summarize({RunOf("pong", "cpu", 1, {4, 6}), RunOf("pong", "cpu", 2, {7, 9}),
                 RunOf("pong", "random", 0, {-20, -21}), RunOf("catch", "test", 1, {9, 10})});
  ASSERT_EQ(results.by_game.size(), 3u);
  EXPECT_EQ(results.by_game[0].game, "catch");
  const GameResult& pong = results.by_game[1];
  EXPECT_EQ(pong.setting, "cpu");
  EXPECT_EQ(pong.seeds, (std::vector<int64_t>{1, 2}));
  EXPECT_DOUBLE_EQ(pong.mean, 6.5);
  EXPECT_DOUBLE_EQ(pong.error, 1.5);  // of 5 and 8
  EXPECT_NEAR(pong.human_normalized.value(), (6.5 + 20.7) / (14.6 + 20.7), 1e-12);
  EXPECT_DOUBLE_EQ(results.by_game[2].error, 0.5);  // one seed: over its games
  ASSERT_EQ(results.by_setting.size(), 2u);         // catch has no human score
  EXPECT_EQ(results.by_setting[0].setting, "cpu");
  const std::string table = ToMarkdown(results);
  EXPECT_NE(table.find("| pong | cpu | 1, 2 | 4 | 6.50 ± 1.50 | 5.00, 8.00 |"), std::string::npos)
      << table;
  EXPECT_EQ(ToJson(results)["by_game"][1]["means"], (nlohmann::json{5.0, 8.0}));
}

TEST(ResultsTest, FilesAreFoundBelowADirectoryAndAreEachOfAnotherRun) {
  const TemporaryDirectory directory(PathOfTest());
  const auto& path = directory.path();
  WriteFileAtomically(path / "a.json", ResultFile("pong", "cpu", 1));
  std::filesystem::create_directory(path / "more");
  WriteFileAtomically(path / "more/b.json", ResultFile("pong", "cpu", 2));
  const std::vector<RunScores> runs = ReadResults({path});
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[1].seed, 2);
  EXPECT_EQ(runs[1].scores, (std::vector<double>{1, 3}));
  EXPECT_DOUBLE_EQ(runs[1].minutes, 2);

  WriteFileAtomically(path / "twice.json", ResultFile("pong", "cpu", 1));
  EXPECT_THROW(ReadResults({path}), Error);
}

TEST(ResultsTest, WhatIsNoResultIsSaid) {
  const TemporaryDirectory directory(PathOfTest());
  const auto& path = directory.path();
  EXPECT_THROW(ReadResults({path}), Error);  // none there
  for (const std::string& text :
       {std::string("{}"), std::string("not JSON"), ResultFile("pong", "cpu", 1, /*cut_off=*/3)}) {
    WriteFileAtomically(path / "a.json", text);
    EXPECT_THROW(ReadRunScores(path / "a.json"), Error) << text;
  }
}

}  // namespace
}  // namespace hidreamer::evaluation
