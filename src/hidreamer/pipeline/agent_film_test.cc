#include "hidreamer/pipeline/agent_film.h"

#include <gtest/gtest.h>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::pipeline {
namespace {

std::vector<report::Image> FilmCatch(const AgentFilmOptions& options) {
  torch::manual_seed(1);
  agent::AgentModels models(agent::OptionsOf(config::Preset("test"), 3));
  models->eval();
  return FilmAgent(models.ptr(), env::MakeEnvironment("catch", "atari100k"), options);
}

TEST(AgentFilm, ShowsAPictureAStepAndEndsWithTheGame) {
  const auto film = FilmCatch({.lead = 4, .steps = 10});
  EXPECT_EQ(film.size(), 6 + 10);
  EXPECT_EQ(film.front().width, 2 * 84 + 2 * 3 * 64 + 2 * 6);
  EXPECT_EQ(film.front().height, 3 * 64);
  EXPECT_EQ(film.front().channels, 3);
  EXPECT_NE(film[6].pixels, film[9].pixels);
  EXPECT_EQ(FilmCatch({.lead = 100, .steps = 45}).size(), 6 + 10);  // a game is 110 steps
}

TEST(AgentFilm, IsTheSameForTheSameSeed) {
  const AgentFilmOptions options{.lead = 2, .steps = 4, .temperature = 1, .seed = 5};
  EXPECT_EQ(FilmCatch(options).back().pixels, FilmCatch(options).back().pixels);
}

}  // namespace
}  // namespace hidreamer::pipeline
