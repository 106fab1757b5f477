#include "hidreamer/imagination/dreams.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/imagination/staged_agent.h"
#include "hidreamer/imagination/tiny_world.h"

namespace hidreamer::imagination {
namespace {

constexpr int64_t kSeen = 4, kDreamed = 6;

policy::PolicyModel PolicyOf(const std::string& kind) {
  torch::manual_seed(3);
  const StateFeatures features(kind, TinyWorldModel()->options(), TinyCodebooks());
  return TinyPolicy(features, kSeen, kDreamed);
}

struct Context {
  torch::Tensor tokens, actions;
};
Context RandomContext(int64_t batch, int64_t steps) {
  torch::manual_seed(4);
  return {torch::randint(4, {batch, steps, 2}, torch::kLong),
          torch::randint(2, {batch, steps - 1}, torch::kLong)};
}

policy::Dreams Dream(StagedDreamer& dreamer, const Context& context, uint64_t seed) {
  Rng rng(seed);
  return DreamOn(dreamer,
                 world_model::StepsOfSlots(dreamer.world().options().layout, context.tokens,
                                           context.actions, dreamer.ValuesOfCodes()),
                 {.horizon = kDreamed}, rng);
}

TEST(StagedDreams, HaveOneMoreStateThanActions) {
  for (const auto& kind : {"hidden", "codes"}) {
    StagedDreamer dreamer(TinyWorldModel(), PolicyOf(kind), TinyCodebooks());
    const int64_t width = dreamer.policy()->options().feature_width;
    for (const int64_t batch : {1, 3}) {
      const auto dream = Dream(dreamer, RandomContext(batch, kSeen), 1);
      EXPECT_EQ(dream.states.sizes(), (torch::IntArrayRef{batch, kDreamed + 1, width}));
      EXPECT_EQ(dream.rewards.sizes(), (torch::IntArrayRef{batch, kDreamed}));
      EXPECT_FALSE(dream.states.requires_grad() || dream.log_probs.requires_grad());
      EXPECT_LT(dream.actions.max().item<int64_t>(), 2);
    }
  }
}

// Rewards and ends are those of the heads on real windows with the same codes and actions.
TEST(StagedDreams, AgreeWithOneForwardPassOverAllOfIt) {
  auto world = TinyWorldModel();
  auto policy = PolicyOf("hidden");
  StagedDreamer dreamer(world, policy, TinyCodebooks());
  const auto context = RandomContext(3, kSeen);
  const auto rollout =
      dreamer.world().Begin(world_model::StepsOfSlots(world->options().layout, context.tokens,
                                                      context.actions, dreamer.ValuesOfCodes()),
                            kDreamed, dreamer.ValuesOfCodes());
  std::vector<torch::Tensor> tokens = {context.tokens}, actions = {context.actions}, states,
                             rewards, continues;
  for (int64_t h = 0; h < kDreamed; ++h) {
    states.push_back(dreamer.Features(rollout->states()));
    actions.push_back(torch::randint(2, {3, 1}, torch::kLong));
    const auto outcomes = rollout->Imagine(actions.back().select(1, 0), 1, torch::rand({3, 1, 2}));
    rewards.push_back(policy->scalars().Value(outcomes.rewards));
    continues.push_back(torch::sigmoid(outcomes.continues));
    tokens.push_back(rollout->codes());  // (B, 1, L)
  }
  actions.push_back(torch::zeros({3, 1}, torch::kLong));
  const StateFeatures features("hidden", world->options());
  const auto whole =
      FeaturesOfWindows(world, features, torch::cat(tokens, 1), torch::cat(actions, 1));
  const auto near = [](const torch::Tensor& a, const torch::Tensor& b) {
    return torch::allclose(a, b, 1e-4, 1e-5);
  };
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(near(torch::stack(states, 1), whole.states.narrow(1, kSeen - 1, kDreamed)));
  const auto outcomes = whole.outcomes.narrow(1, kSeen - 1, kDreamed);
  EXPECT_TRUE(near(torch::stack(rewards, 1), policy->Reward(outcomes)));
  EXPECT_TRUE(near(torch::stack(continues, 1), policy->Continue(outcomes)));
}

TEST(StagedDreams, FollowTheirSeedAlone) {
  StagedDreamer dreamer(TinyWorldModel(), PolicyOf("hidden"), TinyCodebooks());
  const auto context = RandomContext(3, kSeen);
  const auto first = Dream(dreamer, context, 1), other = Dream(dreamer, context, 2),
             again = Dream(dreamer, context, 1);
  EXPECT_TRUE(torch::equal(first.states, again.states));
  EXPECT_TRUE(torch::equal(first.actions, again.actions));
  EXPECT_FALSE(torch::equal(first.states, other.states));
}

TEST(StagedDreams, AreTheSameOnAGpu) {
  if (!torch::cuda::is_available()) {
    GTEST_SKIP() << "no GPU";
  }
  const DreamOptions options{.horizon = kDreamed};
  for (const auto& kind : {"hidden", "codes"}) {
    auto gpu_world = TinyWorldModel();
    auto gpu_policy = PolicyOf(kind);
    gpu_world->to(torch::kCUDA);
    gpu_policy->to(torch::kCUDA);
    StagedDreamer dreamer(TinyWorldModel(), PolicyOf(kind), TinyCodebooks());
    StagedDreamer gpu_dreamer(gpu_world, gpu_policy, TinyCodebooks().to(torch::kCUDA));
    DreamLoop loop(gpu_dreamer, options, layers::Precision::kF32, torch::kCUDA);
    const auto context = RandomContext(3, kSeen);
    const auto& layout = dreamer.world().options().layout;
    for (uint64_t seed = 0; seed < 6; ++seed) {  // the third is recorded
      Rng rng(seed);
      const DreamDraws draws = DrawForDreams(dreamer, 3, options, rng, torch::kCPU);
      const auto expected =
          DreamOn(dreamer,
                  world_model::StepsOfSlots(layout, context.tokens, context.actions,
                                            dreamer.ValuesOfCodes()),
                  options, draws);
      const auto found = loop.Run(
          world_model::StepsOfSlots(layout, context.tokens.to(torch::kCUDA),
                                    context.actions.to(torch::kCUDA), gpu_dreamer.ValuesOfCodes()),
          {draws.actions.to(torch::kCUDA), draws.codes.to(torch::kCUDA)});
      EXPECT_TRUE(torch::equal(found.actions.cpu(), expected.actions)) << kind << seed;
      EXPECT_TRUE(torch::allclose(found.states.cpu(), expected.states, 1e-3, 1e-4)) << kind << seed;
      EXPECT_TRUE(torch::allclose(found.rewards.cpu(), expected.rewards, 1e-3, 1e-4));
      EXPECT_TRUE(torch::allclose(found.continues.cpu(), expected.continues, 1e-3, 1e-4));
    }
  }
}

TEST(StagedDreamer, RefusesPartsOfDifferentRuns) {
  EXPECT_THROW(StagedDreamer(TinyWorldModel(), PolicyOf("codes"), torch::randn({2, 4, 7})), Error);
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

// Of a staged run's world model, codes (B, T, L) and actions (B, T + H - 1).
world_model::OpenLoop OpenLoopOf(world_model::WorldModel model, const torch::Tensor& codes,
                                 const torch::Tensor& actions, double temperature,
                                 const torch::Tensor& uniforms) {
  const int64_t context = codes.size(1), horizon = actions.size(1) + 1 - context;
  world_model::TokenWorld world(model, /*value_channels=*/1, context, context + horizon);
  return world_model::RunOpenLoop(
      world,
      world_model::StepsOfSlots(model->options().layout, codes, actions.narrow(1, 0, context - 1),
                                world_model::NoValues),
      actions.narrow(1, context - 1, horizon), world_model::NoValues, temperature, uniforms);
}

TEST(RunOpenLoop, GreedyTakesTheLikeliestCodeOfEachLevel) {
  auto world = TinyWorldModel();
  torch::NoGradGuard no_grad;
  const auto context = RandomContext(2, 3);
  const auto actions = torch::randint(2, {2, 3 + 4 - 1}, torch::kLong);
  const auto dream = OpenLoopOf(world, context.tokens, actions, /*temperature=*/0, {});
  EXPECT_EQ(dream.hidden.sizes(), (torch::IntArrayRef{2, 4, 2 * 16}));
  const auto codes = dream.codes.squeeze(2);  // (B, H, L)
  const auto tokens = torch::cat({context.tokens, codes}, 1);
  const auto output =
      world->forward(tokens, torch::cat({actions, torch::zeros({2, 1}, torch::kLong)}, 1));
  EXPECT_TRUE(torch::equal(codes.select(2, 0), output.logits[0].narrow(1, 2, 4).argmax(-1)));
  EXPECT_TRUE(torch::equal(codes.select(2, 1), output.logits[1].narrow(1, 3, 4).argmax(-1)));
}

TEST(RunOpenLoop, FollowsFromItsUniforms) {
  auto world = TinyWorldModel();
  const auto context = RandomContext(8, 3);
  const auto actions = torch::zeros({8, 3 + 5 - 1}, torch::kLong);
  const auto draw = [&](uint64_t seed) {
    Rng rng(seed);
    return OpenLoopOf(world, context.tokens, actions, /*temperature=*/1,
                      Uniforms({5, 8, 1, 2}, rng))
        .codes;
  };
  EXPECT_TRUE(torch::equal(draw(1), draw(1)));
  EXPECT_FALSE(torch::equal(draw(1), draw(2)));
}

}  // namespace
}  // namespace hidreamer::imagination
