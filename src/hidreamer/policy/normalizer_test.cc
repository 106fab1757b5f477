#include "hidreamer/policy/normalizer.h"

#include <gtest/gtest.h>

namespace hidreamer::policy {
namespace {

TEST(ReturnNormalizer, TakesTheFirstBatchAsItIs) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::arange(101, torch::kFloat64).view({101, 1}));
  EXPECT_DOUBLE_EQ(normalizer.low(), 5);
  EXPECT_DOUBLE_EQ(normalizer.high(), 95);
  EXPECT_DOUBLE_EQ(normalizer.Scale(), 90);
}

TEST(ReturnNormalizer, AveragesLaterBatches) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::arange(101, torch::kFloat64));
  normalizer.Update(torch::arange(101, torch::kFloat64) * 10);
  EXPECT_NEAR(normalizer.low(), 0.99 * 5 + 0.01 * 50, 1e-12);
  EXPECT_NEAR(normalizer.high(), 0.99 * 95 + 0.01 * 950, 1e-12);
}

TEST(ReturnNormalizer, DoesNotBlowUpSmallReturns) {
  ReturnNormalizer normalizer;
  normalizer.Update(torch::full({4, 5}, 0.25));
  EXPECT_DOUBLE_EQ(normalizer.Scale(), 1);
}

TEST(ReturnNormalizer, GoesOnFromItsState) {
  ReturnNormalizer whole, half, resumed;
  const auto first = torch::randn({50}), second = torch::randn({50}) * 30;
  whole.Update(first);
  whole.Update(second);
  half.Update(first);
  resumed.LoadState(half.State());
  resumed.Update(second);
  EXPECT_EQ(whole.low(), resumed.low());
  EXPECT_EQ(whole.high(), resumed.high());
}

}  // namespace
}  // namespace hidreamer::policy
