#include "hidreamer/agent/dream_game.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/imagination/player.h"

namespace hidreamer::agent {
namespace {

AgentModels ModelsFor(int64_t actions) {
  torch::manual_seed(4);
  AgentModels models(OptionsOf(config::Preset("test"), actions));
  torch::NoGradGuard no_grad;
  for (auto* head : {&models->actor, &models->critic}) {
    for (auto& parameter : (*head)->parameters()) {
      parameter.add_(torch::randn_like(parameter) * 0.3);
    }
  }
  models->eval();
  return models;
}

DreamGame Catch() {
  return DreamGame(ModelsFor(3).ptr(), env::MakeEnvironment("catch", "atari100k"));
}

// Everything that could differ.
auto Told(const DreamGameMoment& moment) {
  return std::tuple(moment.step, moment.action, moment.picture.rgb, moment.game.codes,
                    moment.dream.codes, moment.dream.picture.rgb, moment.dream.value,
                    moment.dream.score, moment.continues);
}

TEST(DreamGame, BeginsWhereTheGameIs) {
  DreamGame game = Catch();
  game.Begin(7, 12);
  const DreamGameMoment& now = game.now();
  EXPECT_EQ(now.step, 0);
  EXPECT_EQ(now.action, -1);
  EXPECT_EQ(now.picture.rgb.size(), 3 * env::kFrameBytes);
  EXPECT_EQ(now.game.picture.rgb.size(), 3 * kObservationBytes);
  EXPECT_EQ(now.dream.codes, now.game.codes);
  EXPECT_EQ(now.dream.codes.size(), 64 * 3);
  EXPECT_EQ(now.dream.probabilities, now.game.probabilities);
  EXPECT_EQ(now.dream.value, now.game.value);
}

TEST(DreamGame, DreamGoesItsOwnWayAndRejoins) {
  DreamGame game = Catch();
  game.Begin(7, 12);
  for (int i = 0; i < 12; ++i) {  // longer than the model's context
    game.Step(Pilot::kPerson, i % 3, 1);
    EXPECT_EQ(game.now().action, i % 3);
  }
  EXPECT_EQ(game.now().step, 12);
  EXPECT_NE(game.now().dream.codes, game.now().game.codes);  // untrained
  game.Rejoin();
  EXPECT_EQ(game.now().step, 0);
  EXPECT_EQ(game.now().dream.codes, game.now().game.codes);
  EXPECT_EQ(game.now().dream.score, 0);
}

TEST(DreamGame, SameSeedGivesTheSameMoments) {
  DreamGame one = Catch(), other = Catch();
  one.Begin(1, 3);
  other.Begin(2, 5);
  other.Step(Pilot::kActorInDream, 0, 1);
  other.Begin(1, 3);
  for (const Pilot pilot : {Pilot::kActorInGame, Pilot::kActorInDream, Pilot::kPerson}) {
    one.Step(pilot, 2, 1);
    other.Step(pilot, 2, 1);
    EXPECT_EQ(Told(one.now()), Told(other.now()));
  }
  other.Begin(2, 3);
  EXPECT_NE(one.now().picture.rgb, other.now().picture.rgb);
}

TEST(DreamGame, LikeliestCodesNeedNoDraws) {
  DreamGame one = Catch(), other = Catch();
  one.Begin(1, 3);
  other.Begin(1, 3);
  other.Step(Pilot::kPerson, 0, 1);  // other draws than `one`'s
  other.Begin(1, 3);
  one.Step(Pilot::kPerson, 1, 0);
  other.Step(Pilot::kPerson, 1, 0);
  EXPECT_EQ(one.now().dream.codes, other.now().dream.codes);
}

TEST(DreamGame, SeesTheGameAsThePlayerDoes) {
  AgentModels models = ModelsFor(3);
  DreamGame game(models.ptr(), env::MakeEnvironment("catch", "atari100k"));
  game.Begin(3, 0);
  imagination::Player player(models.ptr(), /*temperature=*/0);
  const auto alone = env::MakeEnvironment("catch", "atari100k");
  alone->Reset(SeedTree(3).Stream("dream_game/reset"));
  std::vector<Rng> rngs = {Rng(0)};
  for (int step = 0; step < 20; ++step) {
    env::PlayerView view{};
    view.environment = alone.get();
    view.first = step == 0;
    const auto& probabilities = game.now().game.probabilities;
    const auto likeliest = std::max_element(probabilities.begin(), probabilities.end());
    const int action = player.Act({view}, rngs)[0];
    ASSERT_EQ(likeliest - probabilities.begin(), action) << step;
    alone->Step(action);
    game.Step(Pilot::kPerson, action, 0);
  }
}

TEST(DreamGame, GoesOnFromAnEditedCode) {
  DreamGame game = Catch(), other = Catch();
  for (DreamGame* one : {&game, &other}) {
    one->Begin(5, 4);
    one->Step(Pilot::kPerson, 1, 0);
  }
  const auto before = game.now().dream.codes;
  const int64_t code = (before[3 * 10 + 2] + 1) % 4;
  game.Edit(/*place=*/10, /*level=*/2, code);
  EXPECT_EQ(game.now().dream.codes[3 * 10 + 2], code);
  EXPECT_NE(game.now().dream.picture.rgb, other.now().dream.picture.rgb);
  EXPECT_EQ(game.now().game.codes, other.now().game.codes);
  EXPECT_EQ(game.now().step, 1);
  game.Step(Pilot::kPerson, 0, 0);
  EXPECT_EQ(game.now().step, 2);
  EXPECT_THROW(game.Edit(64, 0, 0), Error);
  EXPECT_THROW(game.Edit(0, 3, 0), Error);
  EXPECT_THROW(game.Edit(0, 0, 8), Error);
}

TEST(DreamGame, CountsTheGamesScoreUntilItIsOver) {
  DreamGame game = Catch();
  game.Begin(3, 0);
  double score = 0;
  while (!game.now().game_over) {
    game.Step(Pilot::kActorInGame, 0, 0.5);
    score += game.now().game.reward;
    ASSERT_LT(game.now().step, 1000);
  }
  EXPECT_EQ(game.now().game.score, score);
  EXPECT_NE(score, 0);
  EXPECT_THROW(game.Step(Pilot::kPerson, 0, 1), Error);
}

TEST(DreamGame, TakesOnlyAGameOfTheAgentsActions) {
  EXPECT_THROW(DreamGame(ModelsFor(4).ptr(), env::MakeEnvironment("catch", "atari100k")), Error);
}

}  // namespace
}  // namespace hidreamer::agent
