#include "hidreamer/performance/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::performance {
namespace {

TEST(RunScaling, SetsGrowthBesideTheLaw) {
  const auto scaling = RunScaling({.only = {}, .precision = "f32", .threads = 1, .quick = true});
  const auto& points = scaling.at("points");
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].at("growth"), 1);
  EXPECT_EQ(points[0].at("expected_growth"), 1);
  // Twice the steps: a little more than twice the work, as each sees more before it.
  EXPECT_GT(points[1].at("expected_growth"), 2);
  EXPECT_LT(points[1].at("expected_growth"), 2.1);
  EXPECT_GT(points[1].at("median"), 0);
  EXPECT_THAT(FormatScaling(scaling), testing::HasSubstr("expected"));
}

}  // namespace
}  // namespace hidreamer::performance
