#include "hidreamer/performance/timing.h"

#include <gtest/gtest.h>

#include <chrono>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::performance {
namespace {

TEST(Summarize, GivesMedianAndExtremes) {
  const Timing odd = Summarize({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 3);
  EXPECT_EQ(odd.repetitions, 3);
  EXPECT_EQ(Summarize({4, 1, 2, 3}).median, 2.5);
  EXPECT_THROW(Summarize({}), Error);
}

TEST(TimeRepetitions, WarmsUpAndKeepsItsLimits) {
  int runs = 0;
  const auto work = [&] { ++runs; };
  EXPECT_EQ(TimeRepetitions(work, {.fewest = 2, .most = 5, .seconds = 0}).repetitions, 2);
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(TimeRepetitions(work, {.fewest = 2, .most = 5, .seconds = 100}).repetitions, 5);
  runs = 0;
  const auto begin = std::chrono::steady_clock::now();
  TimeRepetitions(work, {.fewest = 1, .most = 1, .warm_up = 0.02});
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
  EXPECT_GT(runs, 2);
}

TEST(TimeRepetitions, StopsOnCtrlC) {
  SetInterruptRequested(true);
  EXPECT_THROW(TimeRepetitions([] {}, {}), Interrupted);
  SetInterruptRequested(false);
}

TEST(SecondsSinceProcessStart, GrowsFromTheStart) {
  const double first = SecondsSinceProcessStart();
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 100);
  EXPECT_GE(SecondsSinceProcessStart(), first);
}

}  // namespace
}  // namespace hidreamer::performance
