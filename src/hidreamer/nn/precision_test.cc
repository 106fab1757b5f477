#include "hidreamer/nn/precision.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {
namespace {

torch::Dtype ProductType() {
  return torch::matmul(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type();
}

TEST(AutocastGuard, HoldsForItsScopeAndRestores) {
  EXPECT_EQ(ProductType(), torch::kFloat32);
  {
    const AutocastGuard outer(Precision::kBf16);
    EXPECT_EQ(ProductType(), torch::kBFloat16);
    {
      const AutocastGuard inner(Precision::kF32);
      EXPECT_EQ(ProductType(), torch::kFloat32);
    }
    EXPECT_EQ(ProductType(), torch::kBFloat16);
  }
  EXPECT_EQ(ProductType(), torch::kFloat32);
}

TEST(AutocastGuard, DoesNotRememberWeightsFromBeforeAnUpdate) {
  torch::nn::Linear linear(2, 1);
  const auto forward = [&] {
    const AutocastGuard guard(Precision::kBf16);
    return linear->forward(torch::ones({1, 2})).to(torch::kFloat32).item<float>();
  };
  forward();
  {
    torch::NoGradGuard no_grad;
    linear->weight.fill_(1);
    linear->bias.fill_(0.5);
  }
  EXPECT_EQ(forward(), 2.5F);
}

TEST(ChoosePrecision, TakesWhatTheConfigSays) {
  EXPECT_EQ(ChoosePrecision("f32", 64, 32), Precision::kF32);
  EXPECT_EQ(ChoosePrecision("bf16", 64, 32), Precision::kBf16);
  EXPECT_THROW(ChoosePrecision("f16", 64, 32), Error);
}

TEST(ChoosePrecision, AutoTakesTheMeasuredFaster) {
  const Precision chosen = ChoosePrecision("auto", 256, 64);
  const double f32 = TimeMatmul(Precision::kF32, 256, 64);
  const double bf16 = TimeMatmul(Precision::kBf16, 256, 64);
  EXPECT_GT(f32, 0);
  if (bf16 > 3 * f32) {  // clear cases only: timings wobble
    EXPECT_EQ(chosen, Precision::kF32);
  } else if (3 * bf16 < f32) {
    EXPECT_EQ(chosen, Precision::kBf16);
  }
  EXPECT_EQ(PrecisionName(chosen), chosen == Precision::kF32 ? "f32" : "bf16");
}

}  // namespace
}  // namespace hidreamer::nn
