#include "hidreamer/training/runtime.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sched.h>
#include <torch/torch.h>

#include <array>
#include <thread>
#include <vector>

#include "hidreamer/base/cores.h"

namespace hidreamer::training {
namespace {

TEST(ConfigureRuntime, SetsTorchsThreads) {
  const int before = torch::get_num_threads();
  EXPECT_EQ(ConfigureRuntime(2), 2);
  EXPECT_EQ(torch::get_num_threads(), 2);
  EXPECT_EQ(ConfigureRuntime(0), DefaultThreads());
  RunOnAnyCore();
  torch::set_num_threads(before);
}

// at::parallel_for is a template: it is serial where it is compiled without OpenMP.
TEST(ConfigureRuntime, OurLoopsRunOnSeveralThreads) {
  const int before = torch::get_num_threads();
  torch::set_num_threads(2);
  std::array<std::thread::id, 2> threads;
  at::parallel_for(0, 2, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      threads[static_cast<size_t>(i)] = std::this_thread::get_id();
    }
  });
  torch::set_num_threads(before);
  EXPECT_NE(threads[0], threads[1]);
}

TEST(ConfigureRuntime, KeepsAsManyThreadsAsCoresApart) {
  const int before = torch::get_num_threads();
  const int all = static_cast<int>(CoresOfProcess().size());
  ConfigureRuntime(all);
  std::vector<int> cores(static_cast<size_t>(all));
#pragma omp parallel num_threads(all)
  {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof(allowed), &allowed);
    cores[static_cast<size_t>(omp_get_thread_num())] = CPU_COUNT(&allowed);
  }
  std::vector<int> expected(static_cast<size_t>(all), 1);
  if (all > 2) {
    expected[0] = all;
  }
  if (!ReserveCores() || CpuQuota() < all) {
    expected.assign(expected.size(), all);
  }
  EXPECT_EQ(cores, expected);
  RunOnAnyCore();
  torch::set_num_threads(before);
}

TEST(ConfigureRuntime, LeavesLargeTemporariesUsable) {
  const torch::Tensor large = torch::ones({1 << 22});  // 16 MB, the size that used to be mapped
  EXPECT_EQ(large.sum().item<float>(), static_cast<float>(1 << 22));
}

}  // namespace
}  // namespace hidreamer::training
