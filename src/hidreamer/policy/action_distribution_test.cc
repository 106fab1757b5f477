#include "hidreamer/policy/action_distribution.h"

#include <ATen/CPUGeneratorImpl.h>
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

TEST(CategoryAt, InvertsTheCumulativeDistribution) {
  const auto probabilities = torch::tensor({0.25F, 0.0F, 0.5F, 0.25F}).expand({6, 4});
  const auto uniforms = torch::tensor({0.0, 0.2499, 0.25, 0.7499, 0.75, 0.999999}, torch::kFloat64);
  const auto expected = torch::tensor({0, 0, 2, 2, 3, 3}, torch::kLong);
  EXPECT_TRUE(torch::equal(CategoryAt(probabilities, uniforms), expected));
}

TEST(SampleCategory, FollowsTheProbabilitiesAndTheSeed) {
  const auto probabilities = torch::tensor({0.1F, 0.6F, 0.3F}).expand({20000, 3});
  const auto draw = [&](uint64_t seed) {
    return SampleCategory(probabilities, at::make_generator<at::CPUGeneratorImpl>(seed));
  };
  const auto sample = draw(3);
  EXPECT_TRUE(torch::equal(sample, draw(3)));
  EXPECT_FALSE(torch::equal(sample, draw(4)));
  EXPECT_NEAR((sample == 1).to(torch::kFloat64).mean().item<double>(), 0.6, 0.02);
  EXPECT_NEAR((sample == 0).to(torch::kFloat64).mean().item<double>(), 0.1, 0.02);
}

}  // namespace
}  // namespace hidreamer::policy
