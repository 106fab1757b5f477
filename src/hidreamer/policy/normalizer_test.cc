#include "hidreamer/policy/normalizer.h"

#include <gtest/gtest.h>

namespace hidreamer::policy {
namespace {

TEST(ReturnNormalizer, TakesTheFirstBatchAsItIs) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::arange(101, torch::kFloat64).view({101, 1}));
  EXPECT_DOUBLE_EQ(normalizer.low().item<double>(), 5);
  EXPECT_DOUBLE_EQ(normalizer.high().item<double>(), 95);
  EXPECT_DOUBLE_EQ(normalizer.Scale().item<double>(), 90);
}

TEST(ReturnNormalizer, AveragesLaterBatches) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::arange(101, torch::kFloat64));
  normalizer.Update(torch::arange(101, torch::kFloat64) * 10);
  EXPECT_NEAR(normalizer.low().item<double>(), 0.99 * 5 + 0.01 * 50, 1e-12);
  EXPECT_NEAR(normalizer.high().item<double>(), 0.99 * 95 + 0.01 * 950, 1e-12);
}

TEST(ReturnNormalizer, DoesNotBlowUpSmallReturns) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::full({4, 5}, 0.25));
  EXPECT_DOUBLE_EQ(normalizer.Scale().item<double>(), 1);
}

TEST(ReturnNormalizer, GoesOnFromItsState) {
  ReturnNormalizer whole, half, resumed;
  const auto first = torch::randn({50}), second = torch::randn({50}) * 30;
  whole.Update(first);
  whole.Update(second);
  half.Update(first);
  resumed.LoadState(half.State());
  resumed.Update(second);
  EXPECT_EQ(whole.low().item<double>(), resumed.low().item<double>());
  EXPECT_EQ(whole.high().item<double>(), resumed.high().item<double>());
}

}  // namespace
}  // namespace hidreamer::policy
