#include "hidreamer/base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "hidreamer/base/files.h"

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

class DefaultThreadsTest : public ::testing::Test {
 protected:
  DefaultThreadsTest() {
    if (const char* value = std::getenv("OMP_NUM_THREADS"); value != nullptr) {
      before_ = value;
    }
  }
  ~DefaultThreadsTest() override {
    ::unsetenv("TORCHELASTIC_RUN_ID");
    ::setenv("OMP_NUM_THREADS", before_.c_str(), 1);
    if (before_.empty()) {
      ::unsetenv("OMP_NUM_THREADS");
    }
  }
  std::string before_;
};

TEST_F(DefaultThreadsTest, AreWhatOpenMpWasTold) {
  ::setenv("OMP_NUM_THREADS", "1", 1);
  EXPECT_EQ(DefaultThreads(), 1);
  ::setenv("OMP_NUM_THREADS", "3,2", 1);
  EXPECT_EQ(DefaultThreads(), 3);
  EXPECT_EQ(DefaultThreads(2), 3) << "it counts the threads of each process";
}

TEST_F(DefaultThreadsTest, AreTheCoresWhereNothingWasSet) {
  const int cores = static_cast<int>(std::min<double>(static_cast<double>(CoresOfProcess().size()),
                                                      std::max(1.0, std::floor(CpuQuota()))));
  for (const char* nothing : {"", "0", "-4", "many"}) {
    ::setenv("OMP_NUM_THREADS", nothing, 1);
    EXPECT_EQ(DefaultThreads(), cores) << nothing;
  }
  EXPECT_EQ(DefaultThreads(1000), 1);
  ::setenv("OMP_NUM_THREADS", "1", 1);
  ::setenv("TORCHELASTIC_RUN_ID", "x", 1);
  EXPECT_EQ(DefaultThreads(), cores) << "torchrun set it, not the user";
}

TEST(CpuQuota, IsReadFromBothVersionsOfControlGroups) {
  const std::filesystem::path root =
      std::filesystem::path(::testing::TempDir()) / ("hid_quota_" + std::to_string(::getpid()));
  const auto set = [&](const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root / file).parent_path());
    WriteFileAtomically(root / file, text);
  };
  EXPECT_TRUE(std::isinf(CpuQuota(root))) << "no control groups at all";
  set("proc/self/cgroup", "0::/a/b\n");
  set("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_TRUE(std::isinf(CpuQuota(root)));
  set("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(CpuQuota(root), 2.5);
  set("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(CpuQuota(root), 0.5) << "the group above allows less";
  set("proc/self/cgroup", "0::/\n");
  EXPECT_TRUE(std::isinf(CpuQuota(root)));
  set("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(CpuQuota(root), 4) << "a container sees its own group as the root";
  set("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/x\n0::/elsewhere\n");
  set("sys/fs/cgroup/cpu.max", "max 100000\n");
  set("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  set("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_TRUE(std::isinf(CpuQuota(root)));
  set("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
  EXPECT_DOUBLE_EQ(CpuQuota(root), 3);
  std::filesystem::remove_all(root);
}

TEST(Cores, AreReservedByOneProcessAlone) {
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const char reserved = ReserveCores() ? 'y' : 'n';
    const ssize_t written = ::write(said[1], &reserved, 1);
    ::pause();
    ::_exit(static_cast<int>(written));
  }
  char theirs = 0;
  ASSERT_EQ(::read(said[0], &theirs, 1), 1);
  if (theirs == 'y') {  // no training on this machine meanwhile
    EXPECT_FALSE(ReserveCores());
  }
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ::close(said[0]);
  ::close(said[1]);
}

}  // namespace
}  // namespace hidreamer
