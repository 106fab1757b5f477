#include "hidreamer/policy/return_comparison.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

TEST(CompareReturns, AgreesWithNumbersWorkedOutByHand) {
  // The first dream ends for certain after its first step, the second goes on half alive.
  const auto dream = torch::tensor({{1.0F, -4.0F}, {-1.0F, 2.0F}});
  const auto continues = torch::tensor({{0.0F, 1.0F}, {0.5F, 1.0F}});
  const auto real = torch::tensor({{2.0F, 0.0F}, {0.0F, -1.0F}});
  const ReturnComparison found = CompareReturns(dream, continues, real);
  EXPECT_EQ(found.starts, 2);
  EXPECT_DOUBLE_EQ(found.dream_mean, 0.5);  // 1 and 0
  EXPECT_DOUBLE_EQ(found.real_mean, 0.5);   // 2 and -1
  EXPECT_NEAR(found.dream_error, std::sqrt(0.5) / std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(found.difference_error, std::sqrt(2.0) / std::sqrt(2.0), 1e-12);  // -1 and 1
  EXPECT_DOUBLE_EQ(found.dream_gains, 1);                                       // 1 and 2 / 2
  EXPECT_DOUBLE_EQ(found.real_gains, 1);
  EXPECT_DOUBLE_EQ(found.dream_losses, 0.5);
  EXPECT_DOUBLE_EQ(found.real_losses, 0.5);
  EXPECT_DOUBLE_EQ(found.correlation, 1);
  const nlohmann::json json = found;
  EXPECT_EQ(json["starts"], 2);
}

TEST(CompareReturns, HasNoCorrelationWhereNothingVaries) {
  const auto same = torch::ones({3, 2});
  EXPECT_EQ(CompareReturns(same, same, same).correlation, 0);
  EXPECT_EQ(CompareReturns(same, same, same).difference_error, 0);
}

}  // namespace
}  // namespace hidreamer::policy
