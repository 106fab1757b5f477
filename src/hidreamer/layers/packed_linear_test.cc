#include "hidreamer/layers/packed_linear.h"

#include <gtest/gtest.h>

#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/relative_error.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

TEST(PackedLinear, AgreesInEveryPrecisionWithTheWeightsOfNow) {
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  for (const auto& [inner, outputs] : {std::pair{64, 96}, std::pair{7, 5}, std::pair{130, 33}}) {
    PackedLinear layer(inner, outputs);
    for (const int64_t rows : {1, 30, 600}) {
      const torch::Tensor x = torch::randn({2, rows, inner});
      const torch::Tensor exact = torch::linear(
          x.to(torch::kDouble), layer->weight.to(torch::kDouble), layer->bias.to(torch::kDouble));
      EXPECT_LT(RelativeError(layer->forward(x), exact), 1e-6);
      const AutocastGuard autocast(Precision::kBf16);
      const torch::Tensor narrow = layer->forward(x);
      EXPECT_EQ(narrow.scalar_type(), torch::kBFloat16);
      EXPECT_EQ(narrow.sizes(), exact.sizes());
      EXPECT_LT(RelativeError(narrow, exact), 6e-3) << inner << " " << outputs << " " << rows;
      layer->weight.mul_(-1.5);
    }
  }
}

TEST(PackedLinear, HasItsGradientAndIsCounted) {
  PackedLinear layer(8, 6);
  const AutocastGuard autocast(Precision::kBf16);
  layer->forward(torch::randn({3, 8})).sum().backward();
  EXPECT_TRUE(layer->weight.grad().defined());
  const torch::NoGradGuard no_grad;
  const training::FlopMeter meter;
  layer->forward(torch::randn({3, 8}));
  EXPECT_EQ(meter.flops(), 2 * 3 * 8 * 6);
}

TEST(PackedLinear, DoesNotDependOnTheThreads) {
  const torch::NoGradGuard no_grad;
  const AutocastGuard autocast(Precision::kBf16);
  PackedLinear layer(384, 1000);
  const torch::Tensor x = torch::randn({100, 384});
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  const torch::Tensor one = layer->forward(x);
  torch::set_num_threads(3);
  EXPECT_TRUE(torch::equal(layer->forward(x), one));
  torch::set_num_threads(threads);
}

}  // namespace
}  // namespace hidreamer::layers
