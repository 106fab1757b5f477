#include "hidreamer/layers/linear.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "hidreamer/kernels/linear.h"
#include "hidreamer/layers/bf16_linear.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

constexpr int64_t kFewRows = 64;

bool IsPlain(const torch::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat32 && x.is_contiguous();
}

// The result is of the type that autocast gives it, whoever multiplies.
torch::Tensor ByTorch(const torch::Tensor& x, const torch::Tensor& weight,
                      const torch::Tensor& bias) {
  const auto linear = [&](const torch::Tensor& in) {
    return bias.defined() ? torch::linear(in, weight, bias) : torch::linear(in, weight);
  };
  return KeepsTorchInF32(x.device()) && IsBf16Autocast(x.device())
             ? linear(x.to(weight.scalar_type())).to(torch::kBFloat16)
             : linear(x);
}

}  // namespace

torch::Tensor Linear(const torch::Tensor& x, const torch::Tensor& weight,
                     const torch::Tensor& bias) {
  if (HasBf16Linear(x, weight)) {
    return Bf16Linear(x, weight, bias);
  }
  const int64_t inner = weight.size(1), outputs = weight.size(0);
  const int64_t rows = x.numel() / inner;
  if (rows == 0 || rows > kFewRows || torch::GradMode::is_enabled() || !IsPlain(x) ||
      !IsPlain(weight) || !bias.defined() || !IsPlain(bias) || IsBf16Autocast(torch::kCPU)) {
    return ByTorch(x, weight, bias);
  }
  auto shape = x.sizes().vec();
  shape.back() = outputs;
  torch::Tensor out = torch::empty(shape, x.options());
  const float* const from = x.data_ptr<float>();
  const float* const w = weight.data_ptr<float>();
  const float* const b = bias.data_ptr<float>();
  float* const to = out.data_ptr<float>();
  constexpr int64_t kGrain = 1 << 18;  // multiply-adds worth a thread
  at::parallel_for(0, outputs, std::max<int64_t>(1, kGrain / (rows * inner)),
                   [&](int64_t begin, int64_t end) {
                     kernels::FewRowsLinear(from, rows, inner, w + begin * inner, b + begin,
                                            end - begin, to + begin, outputs);
                   });
  training::CountProduct(rows, inner, outputs, torch::kFloat32);
  return out;
}

}  // namespace hidreamer::layers
