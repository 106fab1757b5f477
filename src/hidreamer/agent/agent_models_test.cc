#include "hidreamer/agent/agent_models.h"

#include <gtest/gtest.h>

#include "hidreamer/agent/observation.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/imagination/windows.h"

namespace hidreamer::agent {
namespace {

config::Config SmallAgentConfig() {
  config::Config config = config::Preset("test");
  config.policy.horizon = 5;
  return config;
}

AgentModels SmallModels() {
  torch::manual_seed(2);
  AgentModels models(OptionsOf(SmallAgentConfig(), 3));
  // An actor that starts at zero would play every action alike.
  torch::NoGradGuard no_grad;
  for (auto& parameter : models->actor->parameters()) {
    parameter.add_(torch::randn_like(parameter) * 0.3);
  }
  models->eval();
  return models;
}

// Four games of catch, eight random steps of each.
data::ReplayBatch SomeWindows() {
  data::ReplayBuffer replay({.streams = 4, .frame_bytes = kObservationBytes});
  std::vector<uint8_t> pixels(kObservationBytes);
  Observer observer;
  for (int64_t stream = 0; stream < 4; ++stream) {
    auto game = env::MakeEnvironment("catch", "atari100k");
    game->Reset(static_cast<uint64_t>(stream));
    for (int t = 0; t < 8; ++t) {
      observer.Observe(game->frame(), pixels.data());
      const int action = (t + static_cast<int>(stream)) % 3;
      const auto result = game->Step(action);
      replay.Append(stream,
                    {.frame = pixels, .action = action, .reward = result.reward, .first = t == 0});
    }
  }
  std::vector<data::WindowStart> starts;
  for (int64_t stream = 0; stream < 4; ++stream) {
    starts.push_back({.source = stream, .row = 0});
  }
  return replay.Read(starts, 4);
}

world_model::Steps Read(AgentModels models, const data::ReplayBatch& windows) {
  return imagination::ReadWindows(*models, windows, ToTensor(windows.frames));
}

TEST(Windows, AreCutByStepsAndByWindows) {
  const world_model::Steps whole = Read(SmallModels(), SomeWindows());
  EXPECT_EQ(whole.codes.sizes(), (torch::IntArrayRef{4, 4, 64, 3}));
  const world_model::Steps part = whole.Some(1, 2).Between(2, 4);
  EXPECT_EQ(part.windows(), 2);
  EXPECT_EQ(part.length(), 2);
  EXPECT_TRUE(part.actions.equal(whole.actions.slice(0, 1, 3).slice(1, 2, 4)));
  EXPECT_TRUE(part.values.equal(whole.values.slice(0, 1, 3).slice(1, 2, 4)));
  EXPECT_TRUE(whole.firsts.equal(torch::tensor({1, 0, 0, 0}).to(torch::kBool).expand({4, 4})));
}

TEST(Dreams, HaveTheirShapesAndAreDrawnFromTheirSeed) {
  auto models = SmallModels();
  const auto context = Read(models, SomeWindows());
  const auto dream = [&](uint64_t seed) {
    Rng rng(seed);
    return imagination::DreamOn(*models, context, {.horizon = 5}, rng);
  };
  const policy::Dreams one = dream(1), again = dream(1), other = dream(2);
  EXPECT_EQ(one.states.sizes(), (torch::IntArrayRef{4, 6, one.states.size(2)}));
  for (const auto& x : {one.actions, one.log_probs, one.rewards, one.continues}) {
    EXPECT_EQ(x.sizes(), (torch::IntArrayRef{4, 5}));
  }
  EXPECT_TRUE(one.states.equal(again.states));
  EXPECT_TRUE(one.actions.equal(again.actions));
  EXPECT_FALSE(one.states.equal(other.states));
  const auto probabilities = models->Policy(one.states.narrow(1, 0, 5)).LogProb(one.actions);
  EXPECT_TRUE(torch::allclose(one.log_probs, probabilities, 1e-4, 1e-5));
}

// Room that is taken once changes nothing.
TEST(Dreams, AreTheSameInALoop) {
  auto models = SmallModels();
  const auto context = Read(models, SomeWindows());
  const imagination::DreamOptions options{.horizon = 5};
  imagination::DreamLoop loop(*models, options, layers::Precision::kF32, torch::kCPU);
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Rng rng(seed);
    const auto draws = imagination::DrawForDreams(*models, 4, options, rng, torch::kCPU);
    const auto looped = loop.Run(context, draws);
    const auto expected = imagination::DreamOn(*models, context, options, draws);
    EXPECT_TRUE(looped.states.equal(expected.states)) << seed;
    EXPECT_TRUE(looped.rewards.equal(expected.rewards)) << seed;
  }
}

// A game is judged by the policy on the state from which it would dream.
TEST(Player, SeesWhatADreamSees) {
  auto models = SmallModels();
  const int64_t context = models->options().world_model.context;
  auto game = env::MakeEnvironment("catch", "atari100k");
  game->Reset(5);
  imagination::Player player(models.ptr(), /*temperature=*/0);
  data::ReplayBuffer replay({.streams = 1, .frame_bytes = kObservationBytes});
  std::vector<Rng> rngs(1, Rng(1));
  std::vector<uint8_t> pixels(kObservationBytes);
  Observer observer;
  for (int t = 0; t < 9; ++t) {
    observer.Observe(game->frame(), pixels.data());
    env::PlayerView view{};
    view.slot = 0;
    view.environment = game.get();
    view.first = t == 0;
    const int action = player.Act({view}, rngs)[0];
    replay.Append(0, {.frame = pixels, .action = action, .first = t == 0});
    if (t + 1 >= context) {
      const auto window =
          Read(models, replay.Read({{.source = 0, .row = t + 1 - context}}, context));
      torch::NoGradGuard no_grad;
      const auto features =
          models->Features(models->world_model->Observe(window)).select(1, context - 1);
      EXPECT_EQ(models->Policy(features).probabilities().argmax(-1).item<int64_t>(), action) << t;
    }
    game->Step(action);
  }
}

// Of two games, the second of which begins anew: a player that reads the replay anew at every step
// acts as one that remembers.
TEST(Player, RecallsWhatItHasSeenItself) {
  auto models = SmallModels();
  const int64_t room = models->options().world_model.context - 1;
  imagination::Player remembers(models.ptr(), /*temperature=*/0),
      recalls(models.ptr(), /*temperature=*/0);
  data::ReplayBuffer replay({.streams = 2, .frame_bytes = kObservationBytes});
  std::vector<std::unique_ptr<env::Environment>> games;
  std::vector<uint8_t> pixels(kObservationBytes);
  Observer observer;
  for (uint64_t seed : {3, 4}) {
    games.push_back(env::MakeEnvironment("catch", "atari100k"));
    games.back()->Reset(seed);
  }
  std::vector<Rng> rngs(2, Rng(1));
  std::vector<int64_t> last_actions = {0, 0};
  for (int t = 0; t < 9; ++t) {
    std::vector<env::PlayerView> views(2);
    for (size_t i = 0; i < 2; ++i) {
      views[i].slot = static_cast<int>(i);
      views[i].environment = games[i].get();
      views[i].first = t == 0 || (i == 1 && t == 6);
    }
    const int64_t length = std::min<int64_t>(room, t);
    std::vector<data::WindowStart> starts;
    for (int64_t i = 0; i < 2; ++i) {
      starts.push_back({.source = i, .row = t - length});
    }
    const auto windows = replay.Read(starts, length);
    recalls.Recall(windows, ToTensor(windows.frames), last_actions);
    const auto actions = remembers.Act(views, rngs);
    EXPECT_EQ(recalls.Act(views, rngs), actions) << t;
    for (size_t i = 0; i < 2; ++i) {
      observer.Observe(games[i]->frame(), pixels.data());
      replay.Append(static_cast<int64_t>(i),
                    {.frame = pixels, .action = actions[i], .first = views[i].first});
      last_actions[i] = actions[i];
      games[i]->Step(actions[i]);
    }
  }
}

TEST(AgentOptions, SurviveJson) {
  const AgentOptions options = OptionsOf(SmallAgentConfig(), 3);
  EXPECT_EQ(AgentOptions::FromJson(options.ToJson()).ToJson(), options.ToJson());
}

}  // namespace
}  // namespace hidreamer::agent
