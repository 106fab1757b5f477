#include "hidreamer/layers/precision.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/linear.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

torch::Dtype ProductType() {
  return Linear(torch::ones({2, 2}), torch::ones({2, 2}), torch::ones({2})).scalar_type();
}

TEST(AutocastGuard, LeavesTorchsProductsInF32WhereItsBf16IsEmulated) {
  const AutocastGuard guard(Precision::kBf16);
  EXPECT_TRUE(IsBf16Autocast(torch::kCPU));
  EXPECT_EQ(torch::matmul(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type(),
            KeepsTorchInF32(torch::kCPU) ? torch::kFloat32 : torch::kBFloat16);
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
    return Linear(torch::ones({1, 2}), linear->weight, linear->bias)
        .to(torch::kFloat32)
        .item<float>();
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
  const double f32 = TimeLinear(Precision::kF32, 256, 64);
  const double bf16 = TimeLinear(Precision::kBf16, 256, 64);
  EXPECT_GT(f32, 0);
  if (KeepsTorchInF32(torch::kCPU)) {
    EXPECT_EQ(chosen, Precision::kBf16);
    EXPECT_EQ(ChoosePrecision("auto", 256, 48), Precision::kF32);
  } else if (bf16 > 3 * f32) {  // clear cases only: timings wobble
    EXPECT_EQ(chosen, Precision::kF32);
  } else if (3 * bf16 < f32) {
    EXPECT_EQ(chosen, Precision::kBf16);
  }
  EXPECT_EQ(PrecisionName(chosen), chosen == Precision::kF32 ? "f32" : "bf16");
}

// The meter sees the same products whatever their type.
TEST(AutocastGuard, LeavesTheCountOfFlopsAsItIs) {
  torch::nn::Linear linear(16, 32);
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(4, 8, 3).stride(2).padding(1));
  const auto count = [&](Precision precision) {
    const AutocastGuard autocast(precision);
    const training::FlopMeter meter;
    linear->forward(torch::randn({8, 16}, torch::requires_grad())).sum().backward();
    conv->forward(torch::randn({5, 4, 12, 12})).sum().backward();
    return meter.flops();
  };
  const int64_t of_linear = 3 * 2 * 8 * 16 * 32, of_conv = 2 * 2 * 5 * (6 * 6) * 8 * 4 * 9;
  EXPECT_EQ(count(Precision::kF32), of_linear + of_conv);
  EXPECT_EQ(count(Precision::kBf16), of_linear + of_conv);
}

}  // namespace
}  // namespace hidreamer::layers
