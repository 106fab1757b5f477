#include "hidreamer/evaluation/statistics.h"

#include <gtest/gtest.h>

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::evaluation {
namespace {

TEST(StatisticsTest, MatchesHandComputedValues) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(Mean(values), 5);
  EXPECT_NEAR(StandardDeviation(values), 2.13809, 1e-5);  // sqrt(32 / 7)
  EXPECT_NEAR(StandardError(values), 0.755929, 1e-6);     // sqrt(32 / 7 / 8)
  EXPECT_DOUBLE_EQ(Median(values), 4.5);
  EXPECT_DOUBLE_EQ(InterquartileMean(values), 4.5);  // 4 4 5 5
}

TEST(StatisticsTest, MedianOfOddCountIsTheMiddleValue) {
  EXPECT_DOUBLE_EQ(Median(std::vector<double>{9, 1, 3}), 3);
}

TEST(StatisticsTest, InterquartileMeanCountsCutValuesByTheirShare) {
  // n = 6: ranks 1.5 to 4.5: half of 20, all of 30 and 40, half of 50.
  const std::vector<double> values = {60, 20, 30, 1000, 50, 10};
  // sorted 10 20 30 50 60 1000: half of 20, 30, 50, half of 60 = 10 + 30 + 50 + 30 = 120, / 3
  EXPECT_DOUBLE_EQ(InterquartileMean(values), 40);
}

TEST(StatisticsTest, SingleValueHasNoSpread) {
  const std::vector<double> one = {3};
  EXPECT_DOUBLE_EQ(StandardError(one), 0);
  EXPECT_DOUBLE_EQ(InterquartileMean(one), 3);
}

TEST(StatisticsTest, EmptySampleIsAnInternalError) {
  EXPECT_THROW(Mean({}), Error);
  EXPECT_THROW(Median({}), Error);
}

TEST(StatisticsTest, QuantileInterpolates) {
  const std::vector<double> values = {0, 10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 10);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.3), 12);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 40);
}

TEST(StatisticsTest, BootstrapIntervalIsSeededAndCoversTheMean) {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) {
    values.push_back(i % 10);
  }
  const Interval first = BootstrapInterval(values, Mean, 0.95, 500, Rng(7));
  const Interval again = BootstrapInterval(values, Mean, 0.95, 500, Rng(7));
  const Interval other = BootstrapInterval(values, Mean, 0.95, 500, Rng(8));
  EXPECT_EQ(first.low, again.low);
  EXPECT_NE(first.low, other.low);
  EXPECT_LT(first.low, 4.5);
  EXPECT_GT(first.high, 4.5);
  // Normal theory: +- 1.96 * 2.88 / sqrt(200) = 0.40.
  EXPECT_NEAR(first.high - first.low, 0.8, 0.12);
}

TEST(StatisticsTest, HumanNormalizedScorePutsRandomAtZeroAndHumanAtOne) {
  const auto pong = ReferenceScoresOf("pong").value();
  EXPECT_DOUBLE_EQ(HumanNormalizedScore(pong.random, pong.random, pong.human), 0);
  EXPECT_DOUBLE_EQ(HumanNormalizedScore(pong.human, pong.random, pong.human), 1);
  EXPECT_FALSE(ReferenceScoresOf("tennis").has_value());
}

}  // namespace
}  // namespace hidreamer::evaluation
