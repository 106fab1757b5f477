#include "hidreamer/layers/bf16_linear.h"

#include <algorithm>
#include <optional>

#include "hidreamer/kernels/weight_gradient.h"
#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/parallel_for_dynamic.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kFewestRows = 256;
constexpr int64_t kRowsAtOnce = 192;  // stay in the second cache while all panels pass
constexpr int64_t kBlockInner = 384;

int64_t Pieces(int64_t size, int64_t piece) { return (size + piece - 1) / piece; }

// x (..., K) bf16, contiguous, times a matrix: (..., N).
torch::Tensor Multiply(const torch::Tensor& x, const kernels::Bf16Matrix& matrix,
                       const float* bias) {
  const int64_t inner = matrix.inner(), rows = x.numel() / inner;
  auto shape = x.sizes().vec();
  shape.back() = matrix.outputs();
  torch::Tensor out = torch::empty(shape, x.options().requires_grad(false));
  ParallelForDynamic(Pieces(rows, kRowsAtOnce), [&](const auto& next) {
    while (const std::optional<int64_t> piece = next()) {
      const int64_t first = *piece * kRowsAtOnce;
      kernels::LinearRows(Bf16Data(x) + first * inner, std::min(kRowsAtOnce, rows - first), matrix,
                          bias, {}, Bf16Data(out) + first * matrix.outputs());
    }
  });
  training::CountProduct(rows, inner, matrix.outputs(), torch::kBFloat16);
  return out;
}

kernels::Bf16Matrix Pack(const torch::Tensor& weight, bool transposed) {
  const int64_t n = weight.size(0), k = weight.size(1);
  kernels::Bf16Matrix matrix(transposed ? k : n, transposed ? n : k);
  const auto* const numbers = weight.data_ptr<float>();
  at::parallel_for(0, matrix.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      transposed ? matrix.PackPanelTransposed(p, numbers) : matrix.PackPanel(p, numbers);
    }
  });
  return matrix;
}

struct Bf16LinearFunction : torch::autograd::Function<Bf16LinearFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight,
                               const c10::optional<torch::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["learns_bias"] = bias.has_value() && bias->requires_grad();
    return Multiply(x, Pack(weight, /*transposed=*/false),
                    bias.has_value() ? bias->data_ptr<float>() : nullptr);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0], weight = saved[1], gradient = gradients[0].contiguous();
    torch::Tensor x_gradient, weight_gradient, bias_gradient;
    if (x.requires_grad()) {
      x_gradient = Multiply(gradient, Pack(weight, /*transposed=*/true), nullptr);
    }
    const bool learns_bias = context->saved_data["learns_bias"].toBool();
    if (weight.requires_grad()) {
      weight_gradient = torch::empty(weight.sizes(), weight.options().requires_grad(false));
      if (learns_bias) {
        bias_gradient = torch::empty({weight.size(0)}, weight_gradient.options());
      }
      SumWeightGradient(gradient, x, weight_gradient, bias_gradient);
    } else if (learns_bias) {
      bias_gradient =
          gradient.view({-1, weight.size(0)}).sum(0, /*keepdim=*/false, torch::kFloat32);
    }
    return {x_gradient, weight_gradient, bias_gradient};
  }

  static void SumWeightGradient(const torch::Tensor& gradient, const torch::Tensor& x,
                                const torch::Tensor& weight_gradient,
                                const torch::Tensor& bias_gradient) {
    const int64_t outputs = weight_gradient.size(0), inner = weight_gradient.size(1);
    const int64_t rows = x.numel() / inner;
    const int64_t columns = Pieces(inner, kBlockInner);
    // Large blocks read less, small ones keep all threads busy.
    int64_t block_outputs = 192;
    while (block_outputs > 32 &&
           Pieces(outputs, block_outputs) * columns < 2 * at::get_num_threads()) {
      block_outputs = block_outputs / 2 / 32 * 32;
    }
    ParallelForDynamic(Pieces(outputs, block_outputs) * columns, [&](const auto& next) {
      while (const std::optional<int64_t> block = next()) {
        const int64_t o = *block / columns * block_outputs;
        const Part part{*block % columns, columns};
        const int64_t begin = part.Begin(inner / 32) * 32, end = part.End(inner / 32) * 32;
        kernels::WeightGradient(
            {.gradient = Bf16Data(gradient) + o,
             .x = Bf16Data(x) + begin,
             .rows = rows,
             .gradient_stride = outputs,
             .x_stride = inner,
             .outputs = std::min(block_outputs, outputs - o),
             .inner = end - begin},
            weight_gradient.data_ptr<float>() + o * inner + begin, inner,
            bias_gradient.defined() && begin == 0 ? bias_gradient.data_ptr<float>() + o : nullptr);
      }
    });
    training::CountProduct(outputs, rows, inner, torch::kBFloat16);
  }
};

}  // namespace

bool HasBf16Linear(const torch::Tensor& x, const torch::Tensor& weight) {
  return torch::GradMode::is_enabled() && x.is_cpu() && weight.is_cpu() &&
         IsBf16Autocast(torch::kCPU) && kernels::HasBf16Kernels() &&
         weight.scalar_type() == torch::kFloat32 && weight.is_contiguous() &&
         weight.size(0) % kernels::kPanelOutputs == 0 &&
         weight.size(1) % kernels::kPanelOutputs == 0 && x.numel() >= kFewestRows * weight.size(1);
}

torch::Tensor Bf16Linear(const torch::Tensor& x, const torch::Tensor& weight,
                         const torch::Tensor& bias) {
  return Bf16LinearFunction::apply(
      x.to(torch::kBFloat16).contiguous(), weight,
      bias.defined() ? c10::optional<torch::Tensor>(bias) : c10::nullopt);
}

}  // namespace hidreamer::layers
