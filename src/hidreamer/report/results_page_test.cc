#include "hidreamer/report/results_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ResultsPage, ShowsScoresAggregatesAndAProfile) {
  const auto run = [](const char* game, int64_t seed, double score) {
    return evaluation::RunScores{.game = game,
                                 .protocol = "atari100k",
                                 .setting = "cpu, a<b",
                                 .seed = seed,
                                 .scores = {score, score + 2}};
  };
  const std::string page = RenderResults(
      evaluation::Summarize({run("pong", 1, 4), run("pong", 2, 8), run("breakout", 1, 20)}));
  EXPECT_THAT(page, HasSubstr("cpu, a&lt;b"));
  EXPECT_THAT(page, HasSubstr("<b>7</b> ± 2"));  // of 5 and 9
  EXPECT_THAT(page, HasSubstr("Performance profile"));
  EXPECT_THAT(page, HasSubstr("breakout, pong"));
  EXPECT_THAT(page, HasSubstr("</html>"));
  const std::string catch_alone = RenderResults(evaluation::Summarize({run("catch", 1, 4)}));
  EXPECT_THAT(catch_alone, Not(HasSubstr("Performance profile")));  // it has no human score
}

}  // namespace
}  // namespace hidreamer::report
