#include "hidreamer/policy/ac_cpc.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

TEST(AcCpc, GradientsReachEveryParameterAndTheAnchorsAlone) {
  torch::manual_seed(1);
  AcCpc cpc(AcCpcOptions{.feature_width = 10, .width = 6, .steps = 2, .actions = 3});
  auto features = torch::randn({2, 5, 10}).requires_grad_();
  cpc->forward(features, torch::randint(3, {2, 5}, torch::kLong)).backward();
  for (const auto& item : cpc->named_parameters()) {
    EXPECT_GT(item.value().grad().abs().sum().item<double>(), 0) << item.key();
  }
  const auto reach = features.grad().abs().sum(2).sum(0);  // (T)
  EXPECT_GT(reach[2].item<double>(), 0);
  EXPECT_EQ(reach[3].item<double>(), 0);  // a target, never an anchor
  EXPECT_EQ(reach[4].item<double>(), 0);
}

// The step k ahead is a function of the actions in between alone: only a predictor that sees them
// can tell the pairs apart.
double LossAfterTraining(int64_t actions_seen) {
  torch::manual_seed(1);
  AcCpc cpc(AcCpcOptions{.feature_width = 8, .width = 8, .steps = 1, .actions = actions_seen});
  torch::optim::Adam optimizer(cpc->parameters(), torch::optim::AdamOptions(3e-3));
  const auto words = torch::randn({4, 8});
  double loss_value = 0;
  for (int step = 0; step < 150; ++step) {
    const auto actions = torch::randint(4, {8, 2}, torch::kLong);
    auto features = torch::zeros({8, 2, 8});
    features.select(1, 1).copy_(words.index_select(0, actions.select(1, 0)));
    const auto loss = cpc->forward(features, actions);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    loss_value = loss.item<double>();
  }
  return loss_value;
}

TEST(AcCpc, UsesTheActionsInBetween) {
  EXPECT_LT(LossAfterTraining(4), LossAfterTraining(0) - 0.5);
}

}  // namespace
}  // namespace hidreamer::policy
