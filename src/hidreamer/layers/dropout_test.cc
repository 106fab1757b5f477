#include "hidreamer/layers/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::layers {
namespace {

TEST(Dropout, KeepsTheMeanAndDropsTheShare) {
  torch::manual_seed(1);
  constexpr int64_t kSize = 1 << 20;
  for (const double probability : {0.1, 0.5}) {
    const torch::Tensor y = Dropout(torch::ones({kSize}), probability, true);
    const double tolerance = 5 * std::sqrt(probability * (1 - probability) / kSize);
    EXPECT_NEAR(y.eq(0).to(torch::kDouble).mean().item<double>(), probability, tolerance);
    EXPECT_NEAR(y.max().item<double>(), 1 / (1 - probability), 1e-6);
    // Neighbours, and the same element of two uses, are dropped independently.
    const torch::Tensor dropped = y.eq(0).to(torch::kDouble);
    const auto both = [&](const torch::Tensor& a, const torch::Tensor& b) {
      return (a * b).mean().item<double>();
    };
    const double expected = probability * probability;
    for (const int64_t distance : {1, 2, 16, 256, 65536}) {
      EXPECT_NEAR(both(dropped.narrow(0, distance, kSize - distance),
                       dropped.narrow(0, 0, kSize - distance)),
                  expected, tolerance)
          << distance;
    }
    const torch::Tensor again = Dropout(torch::ones({kSize}), probability, true);
    EXPECT_NEAR(both(dropped, again.eq(0).to(torch::kDouble)), expected, tolerance);
  }
}

TEST(Dropout, FollowsTheSeedButNotTheThreads) {
  const torch::Tensor x = torch::randn({300, 1001});
  const int threads = torch::get_num_threads();
  torch::manual_seed(3);
  const torch::Tensor first = Dropout(x, 0.3, true);
  torch::set_num_threads(3);
  torch::manual_seed(3);
  EXPECT_TRUE(torch::equal(Dropout(x, 0.3, true), first));
  EXPECT_FALSE(torch::equal(Dropout(x, 0.3, true), first));
  torch::set_num_threads(threads);
}

TEST(Dropout, PassesTheGradientWhereItKept) {
  torch::manual_seed(1);
  const torch::Tensor x = torch::rand({64, 33}).add_(1).requires_grad_();
  const torch::Tensor y = Dropout(x, 0.25, true);
  const torch::Tensor weights = torch::randn_like(y);
  (y * weights).sum().backward();
  EXPECT_TRUE(torch::allclose(x.grad(), weights * (y / x).detach()));
}

TEST(Dropout, LeavesTheRestAlone) {
  const torch::Tensor x = torch::randn({8});
  EXPECT_TRUE(Dropout(x, 0.5, false).is_same(x));
  EXPECT_TRUE(Dropout(x, 0.0, true).is_same(x));
  const torch::Tensor halves = torch::ones({1000}, torch::kBFloat16);
  EXPECT_GT(Dropout(halves, 0.5, true).eq(0).sum().item<int64_t>(), 300);
}

}  // namespace
}  // namespace hidreamer::layers
