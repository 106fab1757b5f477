#include "hidreamer/layers/linear.h"

#include <gtest/gtest.h>

#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

TEST(Linear, EqualsTorchsForEveryRemainder) {
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  for (const int64_t rows : {1, 3, 4, 7, 32, 64, 65}) {
    for (const int64_t inner : {5, 16, 100, 384}) {
      for (const int64_t outputs : {1, 2, 3, 256, 1152}) {
        const torch::Tensor x = torch::randn({rows, inner});
        const torch::Tensor weight = torch::randn({outputs, inner}), bias = torch::randn({outputs});
        const torch::Tensor exact =
            torch::linear(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble));
        EXPECT_TRUE(torch::allclose(Linear(x, weight, bias).to(torch::kDouble), exact, 1e-5, 1e-4))
            << rows << " " << inner << " " << outputs;
      }
    }
  }
}

TEST(Linear, TakesAnyShapeTypeAndGradient) {
  const torch::Tensor weight = torch::randn({6, 8}).requires_grad_(), bias = torch::randn({6});
  Linear(torch::randn({2, 3, 8}), weight, bias).sum().backward();
  EXPECT_TRUE(weight.grad().defined());
  const torch::NoGradGuard no_grad;
  const torch::Tensor strided = torch::randn({8, 5}).t();
  EXPECT_TRUE(torch::allclose(Linear(strided, weight, bias),
                              Linear(strided.contiguous(), weight, bias), 1e-5, 1e-5));
  EXPECT_EQ(Linear(torch::randn({2, 3, 8}), weight, bias).sizes(), (std::vector<int64_t>{2, 3, 6}));
  EXPECT_EQ(Linear(torch::randn({2, 8}, torch::kDouble), weight.to(torch::kDouble),
                   bias.to(torch::kDouble))
                .scalar_type(),
            torch::kDouble);
}

TEST(Linear, DoesNotDependOnTheThreadsAndIsCounted) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({32, 384}), weight = torch::randn({1000, 384});
  const torch::Tensor bias = torch::randn({1000});
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  const torch::Tensor one = Linear(x, weight, bias);
  torch::set_num_threads(3);
  const training::FlopMeter meter;
  EXPECT_TRUE(torch::equal(Linear(x, weight, bias), one));
  EXPECT_EQ(meter.flops(), 2 * 32 * 384 * 1000);
  torch::set_num_threads(threads);
}

}  // namespace
}  // namespace hidreamer::layers
