#include "hidreamer/policy/action_distribution.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

TEST(ActionDistribution, NoActionFallsBelowItsShareOfUnimix) {
  const ActionDistribution distribution(torch::tensor({{100.0F, 0.0F, -100.0F, 0.0F}}), 0.01);
  EXPECT_NEAR(distribution.probabilities().min().item<double>(), 0.0025, 1e-7);
  EXPECT_NEAR(distribution.probabilities().sum().item<double>(), 1, 1e-6);
}

// At temperature 1/2 probabilities are as their squares: .1, .3, .6 become 1/46, 9/46, 36/46.
TEST(ChooseActions, FavoursLikelyActionsAtALowTemperature) {
  const auto probabilities = torch::tensor({{0.1F, 0.3F, 0.6F}});
  const auto chosen = [&](double temperature, double uniform) {
    return ChooseActions(probabilities, temperature, torch::tensor({uniform})).item<int64_t>();
  };
  EXPECT_EQ(chosen(1, 0.09), 0);
  EXPECT_EQ(chosen(1, 0.11), 1);
  EXPECT_EQ(chosen(0.5, 0.8 / 46), 0);
  EXPECT_EQ(chosen(0.5, 1.2 / 46), 1);
  EXPECT_EQ(chosen(0.5, 9.8 / 46), 1);
  EXPECT_EQ(chosen(0.5, 10.2 / 46), 2);
  EXPECT_EQ(chosen(0, 0.0), 2);
}

TEST(ActionDistribution, EntropyAndLogProbFollowTheMixedProbabilities) {
  const ActionDistribution uniform(torch::zeros({2, 3, 6}), 0.01);
  EXPECT_TRUE(torch::allclose(uniform.Entropy(), torch::full({2, 3}, std::log(6.0))));
  EXPECT_TRUE(torch::allclose(uniform.LogProb(torch::full({2, 3}, 5, torch::kLong)),
                              torch::full({2, 3}, -std::log(6.0))));
}

}  // namespace
}  // namespace hidreamer::policy
