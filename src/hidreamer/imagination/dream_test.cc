#include "hidreamer/imagination/dream.h"

#include <gtest/gtest.h>

#include "hidreamer/imagination/open_loop.h"
#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {
namespace {

policy::PolicyModel TinyPolicy(const StateFeatures& features) {
  torch::manual_seed(3);
  policy::PolicyModel model(policy::PolicyModelOptions{.game = "tiny",
                                                       .feature_width = features.state_width(),
                                                       .outcome_width = features.outcome_width(),
                                                       .hidden_width = 8,
                                                       .actions = 2,
                                                       .cpc_width = 4});
  return model;
}

struct Context {
  torch::Tensor tokens, actions;
};
Context RandomContext(int64_t batch, int64_t steps) {
  torch::manual_seed(4);
  return {torch::randint(4, {batch, steps, 2}, torch::kLong),
          torch::randint(2, {batch, steps - 1}, torch::kLong)};
}

TEST(Dream, HasOneMoreStateThanActions) {
  auto world = TinyWorldModel();
  for (const auto& kind : {"hidden", "codes"}) {
    const StateFeatures features(kind, world->options(), TinyCodebooks());
    auto policy = TinyPolicy(features);
    for (const int64_t batch : {1, 3}) {
      const auto context = RandomContext(batch, 4);
      const auto dream =
          Dreamer(world, features, batch, 10).Roll(policy, context.tokens, context.actions, 6, 1);
      EXPECT_EQ(dream.states.sizes(), (torch::IntArrayRef{batch, 7, features.state_width()}));
      EXPECT_EQ(dream.codes.sizes(), (torch::IntArrayRef{batch, 7, 2}));
      EXPECT_EQ(dream.rewards.sizes(), (torch::IntArrayRef{batch, 6}));
      EXPECT_FALSE(dream.states.requires_grad() || dream.log_probs.requires_grad());
      EXPECT_LT(dream.actions.max().item<int64_t>(), 2);
    }
  }
}

TEST(Dream, AgreesWithOneForwardPassOverAllOfIt) {
  auto world = TinyWorldModel();
  const StateFeatures features("hidden", world->options());
  auto policy = TinyPolicy(features);
  const auto context = RandomContext(3, 4);
  const auto dream =
      Dreamer(world, features, 3, 10).Roll(policy, context.tokens, context.actions, 6, 1);
  const auto tokens = torch::cat({context.tokens, dream.codes.narrow(1, 1, 6)}, 1);
  const auto actions =
      torch::cat({context.actions, dream.actions, torch::zeros({3, 1}, torch::kLong)}, 1);
  const auto whole = FeaturesOfWindows(world, features, tokens, actions);
  EXPECT_TRUE(torch::allclose(dream.states, whole.states.narrow(1, 3, 7), 1e-4, 1e-5));
  const auto outcomes = whole.outcomes.narrow(1, 3, 6);
  EXPECT_TRUE(torch::allclose(dream.rewards, policy->Reward(outcomes), 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(dream.continues, policy->Continue(outcomes), 1e-4, 1e-5));
}

TEST(Dream, IsTheSameOnAGpu) {
  if (!torch::cuda::is_available()) {
    GTEST_SKIP() << "no GPU";
  }
  for (const auto& kind : {"hidden", "codes"}) {
    auto world = TinyWorldModel(), gpu_world = TinyWorldModel();
    gpu_world->to(torch::kCUDA);
    const StateFeatures features(kind, world->options(), TinyCodebooks());
    const StateFeatures gpu_features(kind, world->options(), TinyCodebooks().to(torch::kCUDA));
    auto policy = TinyPolicy(features), gpu_policy = TinyPolicy(features);
    gpu_policy->to(torch::kCUDA);
    Dreamer dreamer(world, features, 3, 10), gpu_dreamer(gpu_world, gpu_features, 3, 10);
    for (uint64_t seed = 0; seed < 10; ++seed) {  // the third of each length is recorded
      const auto context = RandomContext(3, seed % 2 == 0 ? 4 : 1);
      const auto expected = dreamer.Roll(policy, context.tokens, context.actions, 6, seed);
      const auto found = gpu_dreamer.Roll(gpu_policy, context.tokens.to(torch::kCUDA),
                                          context.actions.to(torch::kCUDA), 6, seed);
      EXPECT_TRUE(torch::equal(found.codes.cpu(), expected.codes)) << kind << seed;
      EXPECT_TRUE(torch::equal(found.actions.cpu(), expected.actions)) << kind << seed;
      EXPECT_TRUE(torch::allclose(found.states.cpu(), expected.states, 1e-3, 1e-4)) << kind << seed;
      EXPECT_TRUE(torch::allclose(found.rewards.cpu(), expected.rewards, 1e-3, 1e-4));
      EXPECT_TRUE(torch::allclose(found.continues.cpu(), expected.continues, 1e-3, 1e-4));
    }
  }
}

TEST(Dream, FollowsItsSeedAlone) {
  auto world = TinyWorldModel();
  const StateFeatures features("hidden", world->options());
  auto policy = TinyPolicy(features);
  const auto context = RandomContext(3, 4);
  Dreamer dreamer(world, features, 3, 10);
  const auto first = dreamer.Roll(policy, context.tokens, context.actions, 6, 1);
  const auto other = dreamer.Roll(policy, context.tokens, context.actions, 6, 2);
  const auto again = dreamer.Roll(policy, context.tokens, context.actions, 6, 1);
  EXPECT_TRUE(torch::equal(first.codes, again.codes));
  EXPECT_TRUE(torch::equal(first.states, again.states));
  EXPECT_FALSE(torch::equal(first.codes, other.codes));
}

// What comes after an action must not show in what its reward is predicted from, and the action
// itself must.
TEST(FeaturesOfWindows, ShowTheActionAndNothingLater) {
  auto world = TinyWorldModel();
  for (const auto& kind : {"hidden", "codes"}) {
    const StateFeatures features(kind, world->options(), TinyCodebooks());
    const auto context = RandomContext(2, 7);
    const auto actions = torch::zeros({2, 7}, torch::kLong);
    const auto before = FeaturesOfWindows(world, features, context.tokens, actions);
    auto later_tokens = context.tokens.clone();
    later_tokens.narrow(1, 4, 3).add_(1).remainder_(4);
    auto later_actions = actions.clone();
    later_actions.narrow(1, 4, 3).fill_(1);
    const auto after = FeaturesOfWindows(world, features, later_tokens, later_actions);
    EXPECT_TRUE(torch::equal(before.states.narrow(1, 0, 4), after.states.narrow(1, 0, 4)));
    EXPECT_TRUE(torch::equal(before.outcomes.narrow(1, 0, 4), after.outcomes.narrow(1, 0, 4)));
    const auto acted = FeaturesOfWindows(world, features, context.tokens, later_actions);
    EXPECT_TRUE(torch::equal(before.states.select(1, 4), acted.states.select(1, 4)));
    EXPECT_FALSE(torch::allclose(before.outcomes.select(1, 4), acted.outcomes.select(1, 4)));
  }
}

TEST(DreamUnderActions, GreedyTakesTheLikeliestCodeOfEachLevel) {
  auto world = TinyWorldModel();
  torch::NoGradGuard no_grad;
  const auto context = RandomContext(2, 3);
  const auto actions = torch::randint(2, {2, 3 + 4 - 1}, torch::kLong);
  const auto dream = DreamUnderActions(world, context.tokens, actions, 4, {.temperature = 0});
  EXPECT_EQ(dream.hidden.sizes(), (torch::IntArrayRef{2, 4, 2, 16}));
  const auto tokens = torch::cat({context.tokens, dream.tokens}, 1);
  const auto output =
      world->forward(tokens, torch::cat({actions, torch::zeros({2, 1}, torch::kLong)}, 1));
  EXPECT_TRUE(torch::equal(dream.tokens.select(2, 0), output.logits[0].narrow(1, 2, 4).argmax(-1)));
  EXPECT_TRUE(torch::equal(dream.tokens.select(2, 1), output.logits[1].narrow(1, 3, 4).argmax(-1)));
}

TEST(DreamUnderActions, SamplesBySeed) {
  auto world = TinyWorldModel();
  const auto context = RandomContext(8, 3);
  const auto actions = torch::zeros({8, 3 + 5 - 1}, torch::kLong);
  const auto draw = [&](uint64_t seed) {
    return DreamUnderActions(world, context.tokens, actions, 5, {.seed = seed}).tokens;
  };
  EXPECT_TRUE(torch::equal(draw(1), draw(1)));
  EXPECT_FALSE(torch::equal(draw(1), draw(2)));
}

}  // namespace
}  // namespace hidreamer::imagination
