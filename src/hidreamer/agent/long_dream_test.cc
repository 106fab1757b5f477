#include "hidreamer/agent/long_dream.h"

#include <gtest/gtest.h>

#include "hidreamer/config/load.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kDreams = 3;

AgentModels TestModels() {
  torch::manual_seed(2);
  AgentModels models(OptionsOf(config::Preset("test"), 3));
  models->eval();
  return models;
}

world_model::Steps SomeBeginnings(AgentModels models) {
  torch::NoGradGuard no_grad;
  const auto& world = models->options().world_model;
  std::vector<torch::Tensor> levels;
  for (int64_t l = 0; l < world.layout.levels; ++l) {
    levels.push_back(torch::randint(world.layout.codes_of(l),
                                    {kDreams, world.context, world.layout.places}, torch::kLong));
  }
  const torch::Tensor codes = torch::stack(levels, 3);
  return {
      .codes = codes,
      .values = models->ValuesOfCodes()(codes.flatten(0, 1)).unflatten(0, {kDreams, world.context}),
      .previous_actions = torch::randint(3, {kDreams, world.context}, torch::kLong),
      .firsts = torch::zeros({kDreams, world.context}, torch::kBool)};
}

torch::Tensor ActionsAt(int64_t step) { return torch::arange(kDreams).add(step).remainder(3); }

// Temperature 0: no draws, so a rollout of the world's own must say the same.
TEST(LongDream, IsARolloutWhereOneHasRoom) {
  torch::NoGradGuard no_grad;
  const AgentModels models = TestModels();
  const auto beginnings = SomeBeginnings(models);
  const auto& world = models->options().world_model;
  const int64_t room = world.max_steps - world.context;
  const auto rollout = models->world_model->Begin(beginnings, room, models->ValuesOfCodes());
  LongDream dream(models.ptr(), beginnings);
  Rng rng(1);
  for (int64_t step = 0; step < room; ++step) {
    EXPECT_TRUE(dream.Features().allclose(models->Features(rollout->states())));
    const auto wanted = rollout->Imagine(ActionsAt(step), 0, {});
    const auto got = dream.Play(ActionsAt(step), 0, rng);
    ASSERT_TRUE(dream.codes().equal(rollout->codes())) << step;
    EXPECT_TRUE(got.rewards.allclose(models->scalars().Value(wanted.rewards)));
    EXPECT_TRUE(got.continues.allclose(torch::sigmoid(wanted.continues)));
  }
}

TEST(LongDream, GoesOnFromItsOwnLastStepsWhenTheRoomIsUsedUp) {
  torch::NoGradGuard no_grad;
  const AgentModels models = TestModels();
  const auto beginnings = SomeBeginnings(models);
  const auto& world = models->options().world_model;
  LongDream dream(models.ptr(), beginnings);
  Rng rng(1);
  world_model::Steps steps = beginnings;
  for (int64_t step = 0; step < world.max_steps - world.context; ++step) {
    dream.Play(ActionsAt(step), 1, rng);
    steps = steps.FollowedBy({.codes = dream.codes().unsqueeze(1),
                              .values = dream.values().unsqueeze(1),
                              .previous_actions = ActionsAt(step).unsqueeze(1),
                              .firsts = torch::zeros({kDreams, 1}, torch::kBool)});
  }
  const auto last = steps.Between(steps.length() - world.context, steps.length());
  const auto rollout = models->world_model->Begin(last, 1, models->ValuesOfCodes());
  EXPECT_TRUE(dream.Features().allclose(models->Features(rollout->states())));
}

TEST(LongDream, OfWhichOneBeginsAnewLeavesTheOthersAlone) {
  const AgentModels models = TestModels();
  const auto beginnings = SomeBeginnings(models);
  LongDream dream(models.ptr(), beginnings);
  Rng rng(1);
  dream.Play(ActionsAt(0), 1, rng);
  const torch::Tensor before = dream.codes().clone();
  dream.BeginAnew(1, beginnings, 2);
  EXPECT_TRUE(dream.codes()[0].equal(before[0]));
  EXPECT_TRUE(dream.codes()[2].equal(before[2]));
  EXPECT_TRUE(dream.codes()[1].equal(beginnings.codes[2][beginnings.length() - 1]));
  dream.Play(ActionsAt(1), 1, rng);
}

TEST(LongDream, GoesOnFromCodesThatReplaceItsNewest) {
  torch::NoGradGuard no_grad;
  const AgentModels models = TestModels();
  const auto beginnings = SomeBeginnings(models);
  LongDream dream(models.ptr(), beginnings), other(models.ptr(), beginnings);
  Rng rng(1);
  dream.Play(ActionsAt(0), 0, rng);
  other.Play(ActionsAt(0), 0, rng);
  torch::Tensor codes = dream.codes().clone();
  codes[1][20][0] = (codes[1][20][0] + 1) % 4;
  dream.Replace(codes);
  EXPECT_TRUE(dream.codes().equal(codes));
  EXPECT_TRUE(dream.values().equal(models->ValuesOfCodes()(codes)));
  EXPECT_FALSE(dream.Features()[1].equal(other.Features()[1]));
  other.Replace(other.codes());  // a rollout begins anew in both
  EXPECT_TRUE(dream.Features()[0].allclose(other.Features()[0], 1e-4, 1e-5));
  EXPECT_FALSE(other.codes().equal(codes));
  dream.Play(ActionsAt(1), 0, rng);
}

}  // namespace
}  // namespace hidreamer::agent
