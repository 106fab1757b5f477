#include "hidreamer/layers/conv_stack.h"

#include <gtest/gtest.h>

#include <vector>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/relative_error.h"

namespace hidreamer::layers {
namespace {

class ConvStackTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernels::HasBf16Kernels()) {
      GTEST_SKIP() << "no bf16 instructions on this processor";
    }
    torch::manual_seed(1);
    const std::vector<std::vector<int64_t>> shapes = {
        {32, 4, 8, 8}, {64, 32, 4, 4}, {64, 64, 3, 3}};
    for (size_t i = 0; i < 3; ++i) {
      parameters_.weights[i] = torch::empty(shapes[i]);
      torch::nn::init::kaiming_normal_(parameters_.weights[i], 0, torch::kFanIn, torch::kReLU);
      parameters_.weights[i].set_requires_grad(true);
      parameters_.biases[i] = (torch::randn({shapes[i][0]}) * 0.1).set_requires_grad(true);
    }
    // One image more than a chunk of gradients and a group of patches hold.
    frames_ = torch::randint(256, {37, 4, 84, 84}, torch::kUInt8);
    upstream_ = torch::randn({37, 3136}).to(torch::kBFloat16);
  }

  // In f32 of numbers rounded where the stack rounds them, so that the same outputs are cut off.
  torch::Tensor Plain() {
    torch::Tensor x = Round(frames_.to(torch::kFloat32) / 255);
    const int64_t strides[] = {4, 2, 1};
    for (size_t i = 0; i < 3; ++i) {
      x = Round(torch::relu(
          torch::conv2d(x, Round(parameters_.weights[i]), parameters_.biases[i], strides[i])));
    }
    return x.flatten(1);
  }
  static torch::Tensor Round(const torch::Tensor& x) {  // to bf16, with the gradient of x
    return x + (x.to(torch::kBFloat16).to(torch::kFloat32) - x).detach();
  }

  // The output and all gradients, which are taken away.
  std::vector<torch::Tensor> Differentiate(const torch::Tensor& out) {
    out.backward(upstream_.to(out.scalar_type()));
    std::vector<torch::Tensor> results = {out.detach()};
    for (size_t i = 0; i < 3; ++i) {
      for (torch::Tensor* parameter : {&parameters_.weights[i], &parameters_.biases[i]}) {
        results.push_back(parameter->grad().clone());
        parameter->mutable_grad() = torch::Tensor();
      }
    }
    return results;
  }

  ConvStackParameters parameters_;
  torch::Tensor frames_, upstream_;
};

TEST_F(ConvStackTest, AgreesWithTheConvolutionsAndTheirGradients) {
  const auto found = Differentiate(ConvStack(frames_, parameters_));
  const auto expected = Differentiate(Plain());
  ASSERT_EQ(found.size(), expected.size());
  // In fixed point one output in a thousand, near 0, is cut off on one side only.
  const double most = kernels::InFixedPoint() ? 0.06 : 0.006;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].sizes(), expected[i].sizes());
    EXPECT_LT(RelativeError(found[i], expected[i]), i == 0 ? 0.006 : most) << i;
  }
}

TEST_F(ConvStackTest, DoesNotDependOnTheThreads) {
  const int threads = torch::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int count : {1, 3}) {
    torch::set_num_threads(count);
    results.push_back(Differentiate(ConvStack(frames_, parameters_)));
  }
  torch::set_num_threads(threads);
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(torch::equal(results[0][i], results[1][i])) << i;
  }
}

TEST_F(ConvStackTest, IsForAutocastAndStacksOfFour) {
  EXPECT_FALSE(HasConvStack(frames_, parameters_));
  const AutocastGuard autocast(Precision::kBf16);
  EXPECT_TRUE(HasConvStack(frames_, parameters_));
  EXPECT_FALSE(HasConvStack(frames_.narrow(1, 0, 3), parameters_));
}

}  // namespace
}  // namespace hidreamer::layers
