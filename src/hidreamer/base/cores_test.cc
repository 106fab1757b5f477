#include "hidreamer/base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace hidreamer {
namespace {

size_t CoresOfThread() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  return static_cast<size_t>(CPU_COUNT(&set));
}

TEST(Cores, AreLeftAndTakenAgain) {
  const size_t all = CoresOfProcess().size();
  EXPECT_EQ(all, CoresOfThread());
  StayOnCore(CoresOfProcess().back());
  EXPECT_EQ(CoresOfThread(), 1U);
  EXPECT_EQ(sched_getcpu(), CoresOfProcess().back());
  EXPECT_EQ(CoresOfProcess().size(), all);
  std::thread([&] {
    EXPECT_EQ(CoresOfThread(), 1U);
    RunOnAnyCore();
    EXPECT_EQ(CoresOfThread(), all);
  }).join();
  RunOnAnyCore();
  EXPECT_EQ(CoresOfThread(), all);
}

}  // namespace
}  // namespace hidreamer
