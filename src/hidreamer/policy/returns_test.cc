#include "hidreamer/policy/returns.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

// The definition, unrolled: G_t as the lambda-weighted mean of n-step returns.
double ReturnBySum(const torch::Tensor& r, const torch::Tensor& v, const torch::Tensor& c,
                   int64_t row, int64_t t, double gamma, double lambda) {
  const int64_t horizon = r.size(1);
  const auto at = [row](const torch::Tensor& x, int64_t i) { return x[row][i].item<double>(); };
  double total = 0;
  for (int64_t n = 1; n <= horizon - t; ++n) {
    double n_step = 0, discount = 1;
    for (int64_t i = 0; i < n; ++i) {
      n_step += discount * at(r, t + i);
      discount *= gamma * at(c, t + i);
    }
    n_step += discount * at(v, t + n);
    const bool last = n == horizon - t;
    total += std::pow(lambda, static_cast<double>(n - 1)) * (last ? 1 : 1 - lambda) * n_step;
  }
  return total;
}

TEST(LambdaReturns, AreTheWeightedMeanOfNStepReturns) {
  torch::manual_seed(1);
  for (const int64_t horizon : {1, 9}) {
    const auto r = torch::randn({3, horizon}, torch::kFloat64);
    const auto v = torch::randn({3, horizon + 1}, torch::kFloat64);
    const auto c = torch::rand({3, horizon}, torch::kFloat64);
    const auto returns = LambdaReturns(r, v, c, 0.9, 0.8);
    ASSERT_EQ(returns.sizes(), r.sizes());
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t t = 0; t < horizon; ++t) {
        EXPECT_NEAR(returns[row][t].item<double>(), ReturnBySum(r, v, c, row, t, 0.9, 0.8), 1e-12);
      }
    }
  }
}

TEST(LambdaReturns, NothingPassesAnEnd) {
  const auto r = torch::tensor({{1.0, 2.0, 4.0}}, torch::kFloat64);
  const auto v = torch::full({1, 4}, 100.0, torch::kFloat64);
  const auto c = torch::tensor({{1.0, 0.0, 1.0}}, torch::kFloat64);
  const auto returns = LambdaReturns(r, v, c, 1.0, 1.0);
  EXPECT_DOUBLE_EQ(returns[0][0].item<double>(), 3.0);
  EXPECT_DOUBLE_EQ(returns[0][1].item<double>(), 2.0);
  EXPECT_DOUBLE_EQ(returns[0][2].item<double>(), 104.0);
}

TEST(ContinueWeights, AreTheDiscountOfEarlierStepsAlone) {
  const auto c = torch::tensor({{0.5, 0.0, 1.0}, {1.0, 1.0, 0.0}}, torch::kFloat64);
  const auto expected = torch::tensor({{1.0, 0.45, 0.0}, {1.0, 0.9, 0.81}}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(ContinueWeights(c, 0.9), expected, 0, 1e-12));
}

}  // namespace
}  // namespace hidreamer::policy
