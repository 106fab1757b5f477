#include "hidreamer/world_model/step_world.h"

#include <gtest/gtest.h>

namespace hidreamer::world_model {
namespace {

WorldOptions SmallStepOptions() {
  WorldOptions options;
  options.layout = {.levels = 2, .actions = 4, .places = 16, .level_codes = {5, 3}};
  options.value_channels = 2;
  options.channels = 8;
  options.width = 16;
  options.heads = 2;
  options.max_steps = 12;
  return options;
}

std::shared_ptr<StepWorld> Make(const WorldOptions& options = SmallStepOptions()) {
  torch::manual_seed(4);
  auto world = std::make_shared<StepWorld>(options);
  world->eval();
  return world;
}

TEST(StepWorld, FinerLevelsFollowTheCoarserCode) {
  auto options = SmallStepOptions();
  for (const bool depth_head : {true, false}) {
    options.depth_head = depth_head;
    auto world = Make(options);
    const auto places = torch::randn({2, 8, 4, 4});
    auto codes = torch::zeros({2, 16, 2}, torch::kLong);
    const auto before = world->Logits(places, codes);
    codes.select(2, 0).fill_(3);
    const auto after = world->Logits(places, codes);
    EXPECT_TRUE(torch::allclose(before[0], after[0]));
    EXPECT_EQ(torch::allclose(before[1], after[1]), !depth_head);
    EXPECT_EQ(before[0].size(2), 5);
    EXPECT_EQ(before[1].size(2), 3);
  }
}

TEST(StepWorld, DrawsCodesByTheirProbability) {
  auto world = Make();
  const auto places = torch::randn({1, 8, 4, 4}).expand({4000, 8, 4, 4}).contiguous();
  const auto now = torch::zeros({4000, 16, 2}, torch::kLong);
  const auto drawn = world->Sample(places, now, 1.0, torch::rand({4000, 16, 2}));
  const auto probabilities =
      torch::softmax(world->Logits(places.narrow(0, 0, 1), drawn.narrow(0, 0, 1))[0], -1);
  const auto share = drawn.select(2, 0).select(1, 5).eq(2).to(torch::kFloat32).mean();
  EXPECT_NEAR(share.item<float>(), probabilities[0][5][2].item<float>(), 0.03);
  const auto likeliest = world->Sample(places.narrow(0, 0, 1), now.narrow(0, 0, 1), 0);
  EXPECT_TRUE(likeliest.select(2, 0).equal(probabilities.argmax(-1)));
}

TEST(StepWorld, PlacesSeeTheirNeighboursOnlyWithTheLocalPath) {
  for (const bool local_path : {false, true}) {
    auto options = SmallStepOptions();
    options.local_path = local_path;
    auto world = Make(options);
    Steps steps;
    steps.codes = torch::zeros({1, 2, 16, 2}, torch::kLong);
    steps.values = torch::randn({1, 2, 2, 4, 4});
    steps.previous_actions = torch::zeros({1, 2}, torch::kLong);
    steps.firsts = torch::zeros({1, 2}, torch::kBool);
    const auto before = world->Observe(steps).codes[0][1].clone();
    steps.values = steps.values.clone();
    steps.values[0][1][0][0][0] = 9;
    // Values and projections lie channel by channel, each place by place.
    const auto changed = world->Observe(steps).codes[0][1].ne(before).view({-1, 16}).any(0);
    const auto places = changed.sum().item<int64_t>();
    EXPECT_EQ(places > 1, local_path) << places;
  }
}

}  // namespace
}  // namespace hidreamer::world_model
