#include "hidreamer/evaluation/play.h"

#include <gtest/gtest.h>

#include <numeric>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/env/scripted_player.h"

namespace hidreamer::evaluation {
namespace {

std::unique_ptr<env::Environment> MakeCatch() { return env::MakeEnvironment("catch", "atari100k"); }

PlayOptions Options(int64_t episodes, int64_t environments, int64_t threads) {
  return {.episodes = episodes,
          .environments = environments,
          .threads = threads,
          .seed = 5,
          .progress = false};
}

TEST(PlayTest, ResultDependsOnTheSeedAloneNotOnThreadsOrSlots) {
  env::RandomPlayer player;
  const PlayResult one = PlayEpisodes(MakeCatch, player, Options(12, 4, 1));
  const PlayResult three = PlayEpisodes(MakeCatch, player, Options(12, 4, 3));
  const PlayResult narrow = PlayEpisodes(MakeCatch, player, Options(12, 1, 1));
  PlayOptions other_seed = Options(12, 4, 1);
  other_seed.seed = 6;
  const PlayResult other = PlayEpisodes(MakeCatch, player, other_seed);
  ASSERT_EQ(one.episodes.size(), 12U);
  EXPECT_EQ(one.Scores(), three.Scores());
  EXPECT_EQ(one.Scores(), narrow.Scores());
  EXPECT_NE(one.Scores(), other.Scores());
  for (size_t i = 0; i < one.episodes.size(); ++i) {
    EXPECT_GT(one.episodes[i].length, 0);
    EXPECT_EQ(one.episodes[i].length, three.episodes[i].length);
    EXPECT_EQ(one.episodes[i].seed, narrow.episodes[i].seed);
  }
}

TEST(PlayTest, KeepsTheFirstGameWhereItIsAskedFor) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "hid_play_test_game";
  env::RandomPlayer player;
  PlayOptions options = Options(5, 2, 1);
  const PlayResult unrecorded = PlayEpisodes(MakeCatch, player, options);
  options.record = path;
  for (int time = 0; time < 2; ++time) {  // the second replaces the first
    const PlayResult result = PlayEpisodes(MakeCatch, player, options);
    EXPECT_EQ(result.Scores(), unrecorded.Scores());
    const data::EpisodeStore store(path);
    ASSERT_EQ(store.size(), result.episodes[0].length);
    EXPECT_EQ(store.episodes().size(), 1U);
    const auto rewards = store.rewards();
    EXPECT_EQ(std::accumulate(rewards.begin(), rewards.end(), 0.0), result.episodes[0].score);
    std::vector<uint8_t> frame(env::kFrameBytes);
    store.ReadFrames(0, 1, frame.data());
    const auto game = MakeCatch();
    game->Reset(result.episodes[0].seed);
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), game->frame().begin()));
  }
  std::filesystem::remove_all(path);
}

TEST(PlayTest, HalfScriptedPlayerBeatsTheRandomOne) {
  env::RandomPlayer random;
  env::MixturePlayer mixture;
  const auto random_json = ToJson(PlayEpisodes(MakeCatch, random, Options(40, 8, 1)));
  const auto mixture_json = ToJson(PlayEpisodes(MakeCatch, mixture, Options(40, 8, 1)));
  EXPECT_GT(mixture_json["mean"].get<double>(), random_json["mean"].get<double>());
}

TEST(PlayTest, FrameLimitCutsEpisodesOff) {
  env::RandomPlayer player;
  PlayOptions options = Options(3, 2, 1);
  options.max_frames = 8;
  const PlayResult result = PlayEpisodes(MakeCatch, player, options);
  for (const PlayedEpisode& episode : result.episodes) {
    EXPECT_EQ(episode.length, 2);
    EXPECT_TRUE(episode.truncated);
  }
}

TEST(PlayTest, JsonHoldsEveryEpisodeAndTheRandomPolicy) {
  PlayResult result{.game = "pong", .protocol = "v5", .player = "agent", .seed = 3};
  result.episodes = {{.score = -20, .length = 10}, {.score = -10, .length = 20}};
  PlayResult random = result;
  random.player = "random";
  random.episodes = {{.score = -21}, {.score = -21}};
  const auto json = ToJson(result, &random);
  EXPECT_EQ(json["count"], 2);
  EXPECT_EQ(json["episodes"][1]["score"], -10);
  EXPECT_DOUBLE_EQ(json["mean"], -15);
  EXPECT_DOUBLE_EQ(json["standard_error"], 5);
  EXPECT_DOUBLE_EQ(json["random_recorded"]["mean"], -20.37);
  EXPECT_DOUBLE_EQ(json["random_measured"]["mean"], -21);
  EXPECT_NEAR(json["human_normalized"].get<double>(), 5.7 / 35.3, 1e-9);
  result.episodes[1].truncated = true;
  const auto cut = ToJson(result);
  EXPECT_EQ(cut["cut_off"], 1);
  EXPECT_FALSE(cut.contains("human_normalized")) << "only whole games compare";
}

}  // namespace
}  // namespace hidreamer::evaluation
