#include "hidreamer/nn/runtime.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

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

TEST(ConfigureRuntime, LeavesLargeTemporariesUsable) {
  const torch::Tensor large = torch::ones({1 << 22});  // 16 MB, the size that used to be mapped
  EXPECT_EQ(large.sum().item<float>(), static_cast<float>(1 << 22));
}

}  // namespace
}  // namespace hidreamer::nn
