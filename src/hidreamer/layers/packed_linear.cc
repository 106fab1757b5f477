#include "hidreamer/layers/packed_linear.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "hidreamer/layers/linear.h"
#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

constexpr int64_t kMostRows = 512;  // of more the library's products are as fast

bool Takes(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  const int64_t rows = x.numel() / x.size(-1);
  return !torch::GradMode::is_enabled() && IsBf16Autocast(torch::kCPU) &&
         kernels::HasBf16Kernels() && x.is_cpu() && weight.is_cpu() &&
         weight.scalar_type() == torch::kFloat32 && weight.is_contiguous() &&
         weight.size(1) % 2 == 0 && bias.defined() && rows > 0 && rows <= kMostRows;
}

}  // namespace

torch::Tensor PackedLinearImpl::forward(const torch::Tensor& x) {
  if (!Takes(x, weight, bias)) {
    return Linear(x, weight, bias);
  }
  const auto packed = packed_.Get({weight}, [&] {
    return kernels::Bf16Matrix(weight.data_ptr<float>(), weight.size(0), weight.size(1));
  });
  const kernels::Bf16Matrix& matrix = *packed;
  const torch::Tensor narrow = x.to(torch::kBFloat16).contiguous();
  const int64_t rows = x.numel() / matrix.inner();
  auto shape = x.sizes().vec();
  shape.back() = matrix.outputs();
  torch::Tensor out = torch::empty(shape, narrow.options());
  constexpr int64_t kGrain = 1 << 23;  // multiply-adds worth a thread
  const int64_t parts =
      std::clamp<int64_t>(rows * matrix.inner() * matrix.outputs() / kGrain, 1,
                          std::min<int64_t>(at::get_num_threads(), matrix.panels()));
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      kernels::LinearRows(Bf16Data(narrow), rows, matrix, bias.data_ptr<float>(), {part, parts},
                          Bf16Data(out));
    }
  });
  training::CountProduct(rows, matrix.inner(), matrix.outputs(), torch::kBFloat16);
  return out;
}

}  // namespace hidreamer::layers
