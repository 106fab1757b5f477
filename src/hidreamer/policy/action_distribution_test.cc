#include "hidreamer/policy/action_distribution.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

TEST(ActionDistribution, NoActionFallsBelowItsShareOfUnimix) {
  const ActionDistribution distribution(torch::tensor({{100.0F, 0.0F, -100.0F, 0.0F}}), 0.01);
  EXPECT_NEAR(distribution.probabilities().min().item<double>(), 0.0025, 1e-7);
  EXPECT_NEAR(distribution.probabilities().sum().item<double>(), 1, 1e-6);
  EXPECT_EQ(distribution.Greedy().item<int64_t>(), 0);
}

TEST(ActionDistribution, EntropyAndLogProbFollowTheMixedProbabilities) {
  const ActionDistribution uniform(torch::zeros({2, 3, 6}), 0.01);
  EXPECT_TRUE(torch::allclose(uniform.Entropy(), torch::full({2, 3}, std::log(6.0))));
  EXPECT_TRUE(torch::allclose(uniform.LogProb(torch::full({2, 3}, 5, torch::kLong)),
                              torch::full({2, 3}, -std::log(6.0))));
}

}  // namespace
}  // namespace hidreamer::policy
