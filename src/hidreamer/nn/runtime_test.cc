#include "hidreamer/nn/runtime.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <thread>

namespace hidreamer::nn {
namespace {

TEST(ConfigureRuntime, SetsTorchsThreads) {
  const int before = torch::get_num_threads();
  EXPECT_EQ(ConfigureRuntime(2), 2);
  EXPECT_EQ(torch::get_num_threads(), 2);
  EXPECT_EQ(ConfigureRuntime(0), static_cast<int>(std::thread::hardware_concurrency()));
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

TEST(ConfigureRuntime, LeavesLargeTemporariesUsable) {
  const torch::Tensor large = torch::ones({1 << 22});  // 16 MB, the size that used to be mapped
  EXPECT_EQ(large.sum().item<float>(), static_cast<float>(1 << 22));
}

}  // namespace
}  // namespace hidreamer::nn
