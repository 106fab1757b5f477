#include "hidreamer/agent/dreams.h"

#include <gtest/gtest.h>

#include "hidreamer/agent/observation.h"
#include "hidreamer/agent/online_player.h"
#include "hidreamer/agent/windows.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/registry.h"

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
  std::vector<data::ReplayIndex> starts;
  for (int64_t stream = 0; stream < 4; ++stream) {
    starts.push_back({.stream = stream, .step = 0});
  }
  return replay.Read(starts, 4);
}

TEST(Windows, AreCutByStepsAndByWindows) {
  const world_model::Steps whole = ReadWindows(SmallModels(), SomeWindows(), torch::kCPU);
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
  const auto context = ReadWindows(models, SomeWindows(), torch::kCPU);
  const auto dream = [&](uint64_t seed) {
    Rng rng(seed);
    return DreamOn(models, context, {.horizon = 5, .keep_codes = true}, rng);
  };
  const policy::Dreams one = dream(1), again = dream(1), other = dream(2);
  EXPECT_EQ(one.states.sizes(), (torch::IntArrayRef{4, 6, one.states.size(2)}));
  EXPECT_EQ(one.codes.sizes(), (torch::IntArrayRef{4, 5, 64, 3}));
  for (const auto& x : {one.actions, one.log_probs, one.rewards, one.continues}) {
    EXPECT_EQ(x.sizes(), (torch::IntArrayRef{4, 5}));
  }
  EXPECT_TRUE(one.codes.equal(again.codes));
  EXPECT_TRUE(one.actions.equal(again.actions));
  EXPECT_FALSE(one.codes.equal(other.codes));
  const auto probabilities = models->Policy(one.states.narrow(1, 0, 5)).LogProb(one.actions);
  EXPECT_TRUE(torch::allclose(one.log_probs, probabilities, 1e-4, 1e-5));
}

TEST(Dreams, FollowTheActionsGiven) {
  auto models = SmallModels();
  const auto context = ReadWindows(models, SomeWindows(), torch::kCPU);
  const auto dream = [&](int64_t action) {
    Rng rng(1);
    return DreamOn(models, context,
                   {.horizon = 5, .actions = torch::full({4, 5}, action, torch::kLong)}, rng);
  };
  const policy::Dreams left = dream(1), right = dream(2);
  EXPECT_TRUE(left.actions.eq(1).all().item<bool>());
  EXPECT_TRUE(left.states.select(1, 0).equal(right.states.select(1, 0)));
  EXPECT_FALSE(left.states.select(1, 1).equal(right.states.select(1, 1)));
}

// A game is judged by the policy on the state from which it would dream.
TEST(OnlinePlayer, SeesWhatADreamSees) {
  auto models = SmallModels();
  const int64_t context = models->options().world_model.context;
  auto game = env::MakeEnvironment("catch", "atari100k");
  game->Reset(5);
  OnlinePlayer player(models, /*temperature=*/0);
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
      const auto window = ReadWindows(
          models, replay.Read({{.stream = 0, .step = t + 1 - context}}, context), torch::kCPU);
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
TEST(OnlinePlayer, RecallsWhatItHasSeenItself) {
  auto models = SmallModels();
  const int64_t room = models->options().world_model.context - 1;
  OnlinePlayer remembers(models, /*temperature=*/0), recalls(models, /*temperature=*/0);
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
    std::vector<data::ReplayIndex> starts;
    for (int64_t i = 0; i < 2; ++i) {
      starts.push_back({.stream = i, .step = t - length});
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
