#include "hidreamer/report/film.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hidreamer/base/temporary_directory.h"

namespace hidreamer::report {
namespace {

Image Plain(int64_t shade) { return Image(8, 8, static_cast<uint8_t>(shade)); }

TEST(FilmOfDream, LeavesOutStepsWithoutFrames) {
  const nlohmann::json dream = {{"game", "pong"},
                                {"context_rows", {1, 2}},
                                {"truth_rows", {3, 4, 5}},
                                {"dream_rows", {3, 100, 5}}};
  const Film film =
      FilmOfDream(dream, [](int64_t row) { return row < 100 ? Plain(row) : Image(); });
  EXPECT_EQ(film.captions,
            (std::vector<std::string>{"before the dream begins", "before the dream begins",
                                      "step 1 of the dream", "step 3 of the dream"}));
  EXPECT_EQ(film.views.at(1).pictures.at(3).At(0, 0), 5);
}

TEST(FilmOfRecording, ShowsEveryGamesScore) {
  const TemporaryDirectory directory(testing::TempDir() + "/film_of_recording");
  const std::filesystem::path path = directory.path() / "played";
  data::EpisodeStoreWriter writer(path, {.game = "catch",
                                         .protocol = "atari100k",
                                         .policy = "agent",
                                         .action_names = {"STAY"},
                                         .seed = 0,
                                         .extra = {}});
  const std::vector<uint8_t> frame(env::kFrameBytes, 7), ram(env::kRamBytes, 0);
  for (int step = 0; step < 6; ++step) {
    writer.Append({.frame = std::span<const uint8_t, env::kFrameBytes>(frame),
                   .result = {.reward = 1, .terminal = step == 2},
                   .ram = std::span<const uint8_t, env::kRamBytes>(ram)});
  }
  writer.Finish();
  const nlohmann::json film = ToJson(FilmOfRecording(data::EpisodeStore(path), "Games", 5));
  EXPECT_EQ(film.at("steps"), 5);
  EXPECT_EQ(film.at("captions").at(2), "step 2 of 3, score 3");
  EXPECT_EQ(film.at("captions").at(4), "step 1 of 3, score 2");
  EXPECT_EQ(film.at("columns"), 5);
  EXPECT_EQ(film.at("views").at(0).at("picture").get<std::string>().rfind("data:image/png", 0), 0U);
}

}  // namespace
}  // namespace hidreamer::report
