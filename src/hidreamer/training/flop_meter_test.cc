#include "hidreamer/training/flop_meter.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace hidreamer::training {
namespace {

template <typename Work>
int64_t Count(Work work) {
  const FlopMeter meter;
  work();
  return meter.flops();
}

TEST(FlopMeter, LinearAndItsGradient) {
  torch::nn::Linear linear(16, 32);
  const auto x = torch::randn({8, 16}, torch::requires_grad());
  torch::Tensor y;
  EXPECT_EQ(Count([&] { y = linear->forward(x); }), 2 * 8 * 16 * 32);
  EXPECT_EQ(Count([&] { y.sum().backward(); }), 2 * 2 * 8 * 16 * 32);
  const auto rows = torch::randn({2, 4, 16});
  EXPECT_EQ(Count([&] { linear->forward(rows); }), 2 * 8 * 16 * 32);
}

TEST(FlopMeter, ConvolutionAndItsGradient) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(4, 8, 3).stride(2).padding(1));
  const int64_t forward = 2 * 5 * (6 * 6) * 8 * 4 * 9;
  const auto x = torch::randn({5, 4, 12, 12});
  torch::Tensor y;
  EXPECT_EQ(Count([&] { y = conv->forward(x); }), forward);
  EXPECT_EQ(Count([&] { y.sum().backward(); }), forward);  // of the weight alone
  const auto with_gradient = x.clone().requires_grad_();
  y = conv->forward(with_gradient);
  EXPECT_EQ(Count([&] { y.sum().backward(); }), 2 * forward);
}

TEST(FlopMeter, BatchesOfProducts) {
  const auto a = torch::randn({3, 4, 5}), b = torch::randn({3, 5, 6});
  EXPECT_EQ(Count([&] { torch::bmm(a, b); }), 2 * 3 * 4 * 5 * 6);
  EXPECT_EQ(Count([&] {
              torch::matmul(a.view({1, 3, 4, 5}), b.view({1, 3, 5, 6}));
            }),
            2 * 3 * 4 * 5 * 6);
  EXPECT_EQ(Count([&] { (a + 1).sum().item<float>(); }), 0);
}

TEST(FlopMeter, ListsWhatItCounted) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(4, 8, 3).stride(2).padding(1));
  const auto a = torch::randn({5, 4}), b = torch::randn({6, 5});
  const FlopMeter meter(/*list=*/true);
  a.t().mm(b.t());
  conv->forward(torch::randn({5, 4, 12, 12})).sum().backward();
  CountFlops(7);
  CountProduct(3, 4, 5, torch::kFloat32, /*times=*/2);
  const auto operators = meter.operators();
  ASSERT_EQ(operators.size(), 5U);
  EXPECT_EQ(operators[0].name, "aten::mm");
  EXPECT_EQ(operators[0].operands[0].sizes, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(operators[0].operands[0].strides, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(operators[1].stride, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(operators[2].name, "aten::convolution_backward");
  EXPECT_EQ(operators[2].operands.size(), 3U);
  EXPECT_EQ(operators[2].gradients, (std::array{false, true, true}));
  EXPECT_EQ(operators[4].operands[1].sizes, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(operators[4].flops, 2 * 3 * 4 * 5);
  int64_t listed = 0;
  for (const CountedOperator& counted : operators) {
    listed += counted.flops;
  }
  EXPECT_EQ(listed + 7, meter.flops());
}

}  // namespace
}  // namespace hidreamer::training
