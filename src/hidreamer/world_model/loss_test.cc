#include "hidreamer/world_model/loss.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::world_model {
namespace {

// Logits that put all weight on the targets: row t of level 0 predicts step t+1.
std::vector<torch::Tensor> PerfectLogits(const torch::Tensor& tokens, int64_t codes) {
  std::vector<torch::Tensor> logits;
  for (int64_t level = 0; level < tokens.size(2); ++level) {
    torch::Tensor target = tokens.select(2, level);
    if (level == 0) {
      target = target.roll(-1, 1);
    }
    logits.push_back(50.0 * torch::one_hot(target, codes).to(torch::kFloat32));
  }
  return logits;
}

TEST(ComputeLossTest, IsZeroForPerfectPredictions) {
  const torch::Tensor tokens = torch::randint(7, {3, 5, 3}, torch::kInt64);
  const HierarchicalLoss loss = ComputeLoss(PerfectLogits(tokens, 7), tokens, {1.0, 0.5, 0.1});
  EXPECT_LT(loss.total.item<float>(), 1e-6f);
  EXPECT_EQ(loss.targets[0].item<int64_t>(), 12);
  EXPECT_EQ(loss.targets[1].item<int64_t>(), 15);
  EXPECT_EQ(loss.correct[0].item<int64_t>(), 12);
  EXPECT_EQ(loss.correct[2].item<int64_t>(), 15);
}

TEST(ComputeLossTest, WeighsTheLevels) {
  const torch::Tensor tokens = torch::randint(8, {3, 5, 3}, torch::kInt64);
  const std::vector<torch::Tensor> uniform(3, torch::zeros({3, 5, 8}));
  const HierarchicalLoss loss = ComputeLoss(uniform, tokens, {1.0, 0.5, 0.1});
  EXPECT_NEAR(loss.levels[1].item<double>(), std::log(8.0), 1e-5);
  EXPECT_NEAR(loss.total.item<double>(), 1.6 * std::log(8.0), 1e-5);
}

TEST(ComputeLossTest, LeavesOutInvalidSteps) {
  torch::manual_seed(1);
  const torch::Tensor tokens = torch::randint(8, {2, 6, 2}, torch::kInt64);
  const std::vector<torch::Tensor> logits = {torch::randn({2, 6, 8}), torch::randn({2, 6, 8})};
  torch::Tensor valid = torch::ones({2, 6}, torch::kBool);
  valid.narrow(1, 4, 2).fill_(false);
  const HierarchicalLoss masked = ComputeLoss(logits, tokens, {1.0, 1.0}, valid);
  const HierarchicalLoss shorter = ComputeLoss(
      {logits[0].narrow(1, 0, 4), logits[1].narrow(1, 0, 4)}, tokens.narrow(1, 0, 4), {1.0, 1.0});
  EXPECT_FLOAT_EQ(masked.total.item<float>(), shorter.total.item<float>());
  EXPECT_EQ(masked.targets[0].item<int64_t>(), 6);
}

}  // namespace
}  // namespace hidreamer::world_model
