#include "hidreamer/layers/norm_activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/gpu.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/relative_error.h"

namespace hidreamer::layers {
namespace {

class Bf16Layers : public testing::TestWithParam<torch::DeviceType> {
 protected:
  void SetUp() override {
    if (GetParam() == torch::kCUDA && !torch::cuda::is_available()) {
      GTEST_SKIP() << "no GPU";
    }
    if (GetParam() == torch::kCPU ? !kernels::HasBf16Kernels()
                                  : !HasGpuLayers(Here(torch::zeros({1})))) {
      GTEST_SKIP() << "no bf16 instructions on this processor";
    }
    torch::manual_seed(1);
  }
  static torch::Tensor Here(const torch::Tensor& x) { return x.to(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(OnTheCpu, Bf16Layers, testing::Values(torch::kCPU));
INSTANTIATE_TEST_SUITE_P(OnAGpu, Bf16Layers, testing::Values(torch::kCUDA));

using Layer = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

// The output and the gradients of all inputs.
std::vector<torch::Tensor> Differentiate(const Layer& layer,
                                         const std::vector<torch::Tensor>& inputs,
                                         const torch::Tensor& upstream) {
  std::vector<torch::Tensor> leaves;
  for (const torch::Tensor& input : inputs) {
    leaves.push_back(input.clone().requires_grad_());
  }
  const torch::Tensor out = layer(leaves);
  out.backward(upstream.to(out.scalar_type()));
  std::vector<torch::Tensor> results = {out.detach()};
  for (const torch::Tensor& leaf : leaves) {
    results.push_back(leaf.grad());
  }
  return results;
}

// Against f64 on the same rounded numbers; rows fill no whole number of chunks.
void ExpectSame(const Layer& layer, const Layer& definition,
                const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> doubles;
  for (const torch::Tensor& input : inputs) {
    doubles.push_back(input.to(torch::kFloat64));
  }
  const torch::Tensor upstream =
      torch::randn(inputs[0].sizes()).to(torch::kBFloat16).to(doubles[0]);
  const auto found = Differentiate(layer, inputs, upstream);
  const auto expected = Differentiate(definition, doubles, upstream);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_LT(RelativeError(found[i], expected[i]), 0.004) << i;
  }
}

TEST_P(Bf16Layers, NormalizesWithItsGradient) {
  for (const int64_t width : {48, 384, 1024}) {
    const std::vector<torch::Tensor> inputs = {Here(torch::randn({3, 50, width}) * 3 + 1),
                                               Here(torch::randn({width})),
                                               Here(torch::randn({width}))};
    const auto definition = [](const auto& in) {
      return torch::layer_norm(in[0], {in[0].size(-1)}, in[1], in[2], 1e-5);
    };
    ExpectSame([](const auto& in) { return NormalizeToBf16(in[0], in[1], in[2], 1e-5).normed; },
               definition, inputs);
    ExpectSame(
        [](const auto& in) {
          const Normalized both = NormalizeToBf16(in[0], in[1], in[2], 1e-5);
          return both.normed + 2 * both.x;
        },
        [&](const auto& in) { return definition(in) + 2 * in[0]; }, inputs);
  }
}

TEST_P(Bf16Layers, AppliesGeluWithItsGradient) {
  const torch::Tensor x = Here(torch::randn({3, 50, 32}) * 3).to(torch::kBFloat16);
  ExpectSame([](const auto& in) { return BiasGeluDropout(in[0], in[1], 0.3, false); },
             [](const auto& in) { return torch::gelu(in[0] + in[1]); },
             {x, Here(torch::randn({32}))});
}

TEST_P(Bf16Layers, AppliesSiluWithItsGradient) {
  const torch::Tensor x = Here(torch::randn({3, 50, 7}) * 4).to(torch::kBFloat16);
  ExpectSame([](const auto& in) { return FastSilu(in[0]); },
             [](const auto& in) { return torch::silu(in[0]); }, {x});
}

TEST_P(Bf16Layers, AddsWithItsGradient) {
  const torch::Tensor residual = Here(torch::randn({150, 32}));
  const torch::Tensor x = Here(torch::randn({150, 32})).to(torch::kBFloat16);
  ExpectSame([](const auto& in) { return BiasDropoutAdd(in[0], in[1], in[2], 0.3, false); },
             [](const auto& in) { return in[0] + in[1] + in[2]; },
             {residual, x, Here(torch::randn({32}))});
}

// What is kept shows in the output, and must be the same in the gradients.
TEST_P(Bf16Layers, DropsTheSameForwardAndBack) {
  constexpr double kDropout = 0.2;
  const torch::Tensor x = Here(torch::randn({300, 64}) + 6).to(torch::kBFloat16);
  const torch::Tensor bias = Here(torch::zeros({64})), upstream = Here(torch::ones({300, 64}));
  const auto gelu =
      Differentiate([](const auto& in) { return BiasGeluDropout(in[0], in[1], kDropout, true); },
                    {x, bias}, upstream);
  const auto added = Differentiate(
      [](const auto& in) { return BiasDropoutAdd(in[0], in[1], in[2], kDropout, true); },
      {torch::zeros_like(x, torch::kFloat32), x, bias}, upstream);
  for (const auto& [out, x_gradient, bias_gradient] :
       {std::tuple{gelu[0], gelu[1], gelu[2]}, std::tuple{added[0], added[2], added[3]}}) {
    EXPECT_TRUE(torch::equal(out.ne(0), x_gradient.ne(0)));
    EXPECT_LT(RelativeError(bias_gradient, x_gradient.to(torch::kFloat32).sum(0)), 0.004);
    const double dropped = out.eq(0).to(torch::kFloat32).mean().item<double>();
    EXPECT_NEAR(dropped, kDropout, 5 * std::sqrt(kDropout * (1 - kDropout) / (300 * 64)));
  }
  const torch::Tensor kept = added[0].ne(0);
  EXPECT_LT(RelativeError(added[0].masked_select(kept),
                          x.to(torch::kFloat32).masked_select(kept) / (1 - kDropout)),
            GetParam() == torch::kCPU ? 1e-6 : 1e-5);  // a GPU's is a multiple of 2^-16
}

TEST_P(Bf16Layers, DoNotDependOnTheThreads) {
  const torch::Tensor x = Here(torch::randn({1000, 64}));
  const torch::Tensor weight = Here(torch::randn({64})), bias = Here(torch::randn({64}));
  const torch::Tensor upstream = Here(torch::randn({1000, 64}));
  const int threads = torch::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int count : {1, 3}) {
    torch::set_num_threads(count);
    torch::manual_seed(5);
    results.push_back(Differentiate(
        [](const auto& in) {
          const Normalized both = NormalizeToBf16(in[0], in[1], in[2], 1e-5);
          return BiasDropoutAdd(both.x, BiasGeluDropout(both.normed, in[2], 0.1, true), in[1], 0.1,
                                true);
        },
        {x, weight, bias}, upstream));
  }
  torch::set_num_threads(threads);
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(torch::equal(results[0][i], results[1][i])) << i;
  }
}

TEST_P(Bf16Layers, AreForAutocast) {
  const torch::Tensor x = Here(torch::zeros({2, 32}));
  EXPECT_FALSE(HasBf16Layers(x));
  const AutocastGuard autocast(x.device(), Precision::kBf16);
  EXPECT_TRUE(HasBf16Layers(x));
  EXPECT_FALSE(HasBf16Layers(Here(torch::zeros({2, 24}))));
  EXPECT_FALSE(HasBf16Layers(x.to(torch::kFloat64)));
}

}  // namespace
}  // namespace hidreamer::layers
