#include "hidreamer/report/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(ChartTest, TicksAreRoundAndCoverTheRange) {
  EXPECT_THAT(NiceTicks(0, 1, 4), ElementsAre(0, 0.5, 1));
  EXPECT_THAT(NiceTicks(-21, 21, 4), ElementsAre(-20, 0, 20));
  EXPECT_THAT(NiceTicks(3, 3, 4), testing::IsEmpty());
}

TEST(ChartTest, LineBreaksAtMissingValuesAndNamesAreEscaped) {
  const std::string svg = RenderLineChart(
      {.title = "a < b",
       .x_label = "step",
       .series = {{.name = "<loss>", .x = {0, 1, 2, 3}, .y = {1, std::nan(""), 3, 2}}}});
  EXPECT_THAT(svg, HasSubstr("a &lt; b"));
  EXPECT_THAT(svg, HasSubstr("&lt;loss&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  const std::string path = svg.substr(svg.find("d=\""), svg.find("\"/>", svg.find("d=\"")));
  EXPECT_GE(Count(path, "M"), 2) << "pen is lifted over the gap";
}

TEST(ChartTest, NothingToDrawGivesNothing) {
  EXPECT_EQ(RenderLineChart({.title = "t", .x_label = "x"}), "");
  EXPECT_EQ(RenderHistogram({.title = "t", .x_label = "x", .name = "n"}), "");
  EXPECT_EQ(RenderBarStrip({.title = "t"}), "");
}

TEST(ChartTest, ConstantSeriesStillHasAScale) {
  const std::string svg = RenderLineChart(
      {.title = "t", .x_label = "x", .series = {{.name = "n", .x = {0, 1}, .y = {5, 5}}}});
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(ChartTest, MaskDrawsOneCellAPair) {
  const std::string svg = RenderMask({.title = "strict", .rows = {"10", "11"}, .labels = {"L0"}});
  EXPECT_EQ(Count(svg, "class=\"cell s0\""), 1);    // past step
  EXPECT_EQ(Count(svg, "class=\"cell s1\""), 2);    // own step
  EXPECT_EQ(Count(svg, "class=\"cell shut\""), 1);  // future
}

}  // namespace
}  // namespace hidreamer::report
