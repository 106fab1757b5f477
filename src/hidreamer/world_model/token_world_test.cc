#include "hidreamer/world_model/token_world.h"

#include <gtest/gtest.h>

namespace hidreamer::world_model {
namespace {

// One place, one level: the code of a step is its number.
Steps Numbered(const std::vector<std::vector<int64_t>>& firsts) {
  const auto b = static_cast<int64_t>(firsts.size());
  const auto t = static_cast<int64_t>(firsts.front().size());
  const auto numbers = torch::arange(t, torch::kLong).expand({b, t});
  Steps steps;
  steps.codes = numbers.view({b, t, 1, 1});
  steps.values = torch::zeros({b, t, 1, 1, 1});
  steps.previous_actions = numbers + 9;  // action 10 + n was chosen at step n
  steps.actions = numbers + 10;
  steps.firsts = torch::zeros({b, t}, torch::kBool);
  for (int64_t i = 0; i < b; ++i) {
    for (const int64_t first : firsts[static_cast<size_t>(i)]) {
      if (first > 0) {
        steps.firsts[i][first] = true;
      }
    }
  }
  steps.rewards = torch::zeros({b, t});
  steps.terminals = torch::zeros({b, t}, torch::kBool);
  return steps;
}

torch::Tensor Whole(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<torch::Tensor> tensors;
  for (const auto& row : rows) {
    tensors.push_back(torch::tensor(row, torch::kLong));
  }
  return torch::stack(tensors);
}

TEST(NewestEpisode, BeginsWithAGameThatStandsStill) {
  const NewestEpisode episode =
      ReadNewestEpisode(Numbered({{0, 0, 0, 0, 0}, {0, 2, 3, 0, 0}, {0, 0, 0, 0, 4}}));
  EXPECT_TRUE(
      episode.codes.squeeze(2).equal(Whole({{0, 1, 2, 3, 4}, {3, 3, 3, 3, 4}, {4, 4, 4, 4, 4}})));
  EXPECT_TRUE(episode.actions.equal(Whole({{10, 11, 12, 13}, {0, 0, 0, 13}, {0, 0, 0, 0}})));
}

TEST(TokenWorld, PredictsTheLongestEpisodeOfAWindow) {
  WorldOptions options;
  options.kind = "token";
  options.layout = {.levels = 1, .codes = 5, .actions = 20, .places = 1};
  options.value_channels = 1;
  options.width = 16;
  options.heads = 2;
  options.max_steps = 5;
  torch::manual_seed(1);
  TokenWorld world(options);
  const Steps steps =
      Numbered({{0, 0, 0, 0, 0}, {0, 2, 0, 0, 0}, {0, 0, 0, 3, 0}, {0, 1, 0, 0, 4}});
  const Prediction prediction = world.Predict(steps, 1);
  EXPECT_TRUE(
      prediction.known.to(torch::kLong)
          .equal(Whole({{1, 1, 1, 1, 1}, {0, 0, 1, 1, 1}, {1, 1, 1, 0, 0}, {0, 1, 1, 1, 0}})));
  // What lies before it has no say.
  Steps other = Numbered({{0, 0, 0, 0, 0}, {0, 2, 0, 0, 0}, {0, 0, 0, 3, 0}, {0, 1, 0, 0, 4}});
  other.codes = other.codes.clone();
  other.codes[1][0] = 3;
  other.codes[3][0] = 3;
  other.actions = other.actions.clone();
  other.actions[1][0] = 4;
  other.actions[1][1] = 4;
  EXPECT_TRUE(world.Predict(other, 1).hidden.equal(prediction.hidden));
}

TEST(TokenLayout, OrdersAFrameFromCoarseToFine) {
  const TokenLayout layout{.levels = 3, .codes = 5, .actions = 2, .places = 4};
  EXPECT_EQ(layout.code_slots(), 12);
  EXPECT_EQ(layout.positions_per_step(), 13);
  EXPECT_EQ(layout.action_slot(), 12);
  EXPECT_EQ(layout.level_of(3), 0);
  EXPECT_EQ(layout.level_of(4), 1);
  EXPECT_EQ(layout.level_of(11), 2);
}

}  // namespace
}  // namespace hidreamer::world_model
