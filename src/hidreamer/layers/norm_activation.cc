#include "hidreamer/layers/norm_activation.h"

#include <ATen/Parallel.h>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/norm_activation.h"
#include "hidreamer/layers/dropout.h"
#include "hidreamer/layers/gpu.h"
#include "hidreamer/layers/precision.h"

namespace hidreamer::layers {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kSiluGrain = 1 << 15;  // numbers worth a thread
constexpr int64_t kRowsOfChunk = 256;

// Rows of x (..., D), some at a time: work(chunk, first row, rows). Chunks do not depend on the
// threads.
struct RowChunks {
  explicit RowChunks(const torch::Tensor& x)
      : width(x.size(-1)),
        rows(x.numel() / width),
        chunks((rows + kRowsOfChunk - 1) / kRowsOfChunk) {}

  template <class Work>
  void ForEach(const Work& work) const {
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t first = chunk * kRowsOfChunk;
        work(chunk, first, std::min(kRowsOfChunk, rows - first));
      }
    });
  }
  uint32_t IndexOf(int64_t row) const { return static_cast<uint32_t>(row * width); }

  int64_t width, rows, chunks;
};

struct NormalizeFunction : torch::autograd::Function<NormalizeFunction> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               double epsilon) {
    const RowChunks rows(x);
    const torch::Tensor out = EmptyAs(x, torch::kBFloat16);
    const torch::Tensor statistics = torch::empty({rows.rows, 2}, x.options().requires_grad(false));
    rows.ForEach([&](int64_t, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      kernels::NormalizeRows(x.data_ptr<float>() + at, weight.data_ptr<float>(),
                             bias.data_ptr<float>(), static_cast<float>(epsilon), count, rows.width,
                             Bf16Data(out) + at, statistics.data_ptr<float>() + 2 * first);
    });
    context->save_for_backward({x, weight, statistics});
    return {out, x};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0], weight = saved[1], statistics = saved[2];
    const torch::Tensor gradient = gradients[0].contiguous(), other = gradients[1].contiguous();
    const RowChunks rows(x);
    const torch::Tensor x_gradient = EmptyAs(x, torch::kFloat32);
    const torch::Tensor sums =
        torch::zeros({rows.chunks, 2, rows.width}, x.options().requires_grad(false));
    rows.ForEach([&](int64_t chunk, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      float* const own = sums.data_ptr<float>() + chunk * 2 * rows.width;
      kernels::NormalizeRowsBackward(x.data_ptr<float>() + at, weight.data_ptr<float>(),
                                     statistics.data_ptr<float>() + 2 * first,
                                     Bf16Data(gradient) + at, other.data_ptr<float>() + at, count,
                                     rows.width, x_gradient.data_ptr<float>() + at, own,
                                     own + rows.width);
    });
    const torch::Tensor total = sums.sum(0);
    return {x_gradient, total[0], total[1], {}};
  }
};

struct BiasGeluDropoutFunction : torch::autograd::Function<BiasGeluDropoutFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& bias, const kernels::DropoutPlan& plan) {
    const RowChunks rows(x);
    const torch::Tensor out = EmptyAs(x, torch::kBFloat16);
    rows.ForEach([&](int64_t, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      kernels::BiasGeluDropoutRows(Bf16Data(x) + at, bias.data_ptr<float>(), plan,
                                   rows.IndexOf(first), count, rows.width, Bf16Data(out) + at);
    });
    context->save_for_backward({x, bias});
    context->saved_data["plan"] = ToIValue(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0], bias = saved[1];
    const kernels::DropoutPlan plan = DropoutPlanFromIValue(context->saved_data["plan"]);
    const torch::Tensor gradient = gradients[0].contiguous();
    const RowChunks rows(x);
    const torch::Tensor x_gradient = EmptyAs(x, torch::kBFloat16);
    const torch::Tensor sums = torch::zeros({rows.chunks, rows.width}, bias.options());
    rows.ForEach([&](int64_t chunk, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      kernels::BiasGeluDropoutRowsBackward(Bf16Data(x) + at, bias.data_ptr<float>(), plan,
                                           rows.IndexOf(first), Bf16Data(gradient) + at, count,
                                           rows.width, Bf16Data(x_gradient) + at,
                                           sums.data_ptr<float>() + chunk * rows.width);
    });
    return {x_gradient, sums.sum(0), {}};
  }
};

struct BiasDropoutAddFunction : torch::autograd::Function<BiasDropoutAddFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& residual,
                               const torch::Tensor& x, const torch::Tensor& bias,
                               const kernels::DropoutPlan& plan) {
    const RowChunks rows(x);
    const torch::Tensor out = EmptyAs(residual, torch::kFloat32);
    rows.ForEach([&](int64_t, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      kernels::BiasDropoutAddRows(residual.data_ptr<float>() + at, Bf16Data(x) + at,
                                  bias.data_ptr<float>(), plan, rows.IndexOf(first), count,
                                  rows.width, out.data_ptr<float>() + at);
    });
    context->saved_data["plan"] = ToIValue(plan);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const kernels::DropoutPlan plan = DropoutPlanFromIValue(context->saved_data["plan"]);
    const torch::Tensor gradient = gradients[0].contiguous();
    const RowChunks rows(gradient);
    const torch::Tensor x_gradient = EmptyAs(gradient, torch::kBFloat16);
    const torch::Tensor sums = torch::zeros({rows.chunks, rows.width}, gradient.options());
    rows.ForEach([&](int64_t chunk, int64_t first, int64_t count) {
      const int64_t at = first * rows.width;
      kernels::BiasDropoutAddRowsBackward(
          plan, rows.IndexOf(first), gradient.data_ptr<float>() + at, count, rows.width,
          Bf16Data(x_gradient) + at, sums.data_ptr<float>() + chunk * rows.width);
    });
    return {gradient, x_gradient, sums.sum(0), {}};
  }
};

struct SiluFunction : torch::autograd::Function<SiluFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x) {
    const torch::Tensor out = torch::empty_like(x);
    at::parallel_for(0, x.numel(), kSiluGrain, [&](int64_t begin, int64_t end) {
      kernels::SiluNumbers(Bf16Data(x) + begin, end - begin, Bf16Data(out) + begin);
    });
    context->save_for_backward({x});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const torch::Tensor x = context->get_saved_variables()[0];
    const torch::Tensor gradient = gradients[0].contiguous();
    const torch::Tensor out = torch::empty_like(x);
    at::parallel_for(0, x.numel(), kSiluGrain, [&](int64_t begin, int64_t end) {
      kernels::SiluNumbersBackward(Bf16Data(x) + begin, Bf16Data(gradient) + begin, end - begin,
                                   Bf16Data(out) + begin);
    });
    return {out};
  }
};

kernels::DropoutPlan PlanOf(double probability, bool training) {
  return PlanDropout(training ? probability : 0.0);
}

void CheckTypes(const torch::Tensor& x, torch::ScalarType type, const torch::Tensor& bias) {
  HID_CHECK((x.is_cpu() ? kernels::HasBf16Kernels() : HasGpuLayers(x)) && x.scalar_type() == type &&
                IsBf16RowWidth(x.size(-1)) && bias.scalar_type() == torch::kFloat32 &&
                bias.numel() == x.size(-1),
            "no bf16 layer for rows of {} of this type", x.size(-1));
}

}  // namespace

bool IsBf16RowWidth(int64_t width) { return width % 16 == 0 && width <= kWidestGpuRow; }

bool HasBf16Layers(const torch::Tensor& x) {
  const int64_t width = x.size(-1);
  return x.scalar_type() == torch::kFloat32 && IsBf16RowWidth(width) &&
         (x.is_cpu() ? kernels::HasBf16Kernels() : HasGpuLayers(x) && width <= kWidestGpuNorm) &&
         IsBf16Autocast(x.device());
}

Normalized NormalizeToBf16(const torch::Tensor& x, const torch::Tensor& weight,
                           const torch::Tensor& bias, double epsilon) {
  CheckTypes(x, torch::kFloat32, bias);
  const variable_list results =
      x.is_cuda() ? GpuNormalizeToBf16(x.contiguous(), weight, bias, epsilon)
                  : NormalizeFunction::apply(x.contiguous(), weight, bias, epsilon);
  return {results[0], results[1]};
}

torch::Tensor BiasGeluDropout(const torch::Tensor& x, const torch::Tensor& bias, double probability,
                              bool training) {
  CheckTypes(x, torch::kBFloat16, bias);
  if (x.is_cuda()) {
    return GpuBiasGeluDropout(x.contiguous(), bias, training ? probability : 0.0);
  }
  return BiasGeluDropoutFunction::apply(x.contiguous(), bias, PlanOf(probability, training));
}

torch::Tensor BiasDropoutAdd(const torch::Tensor& residual, const torch::Tensor& x,
                             const torch::Tensor& bias, double probability, bool training) {
  CheckTypes(x, torch::kBFloat16, bias);
  HID_CHECK(residual.sizes() == x.sizes() && residual.scalar_type() == torch::kFloat32,
            "a residual of another shape or type");
  if (x.is_cuda()) {
    return GpuBiasDropoutAdd(residual.contiguous(), x.contiguous(), bias,
                             training ? probability : 0.0);
  }
  return BiasDropoutAddFunction::apply(residual.contiguous(), x.contiguous(), bias,
                                       PlanOf(probability, training));
}

torch::Tensor FastSilu(const torch::Tensor& x) {
  if (!x.is_cpu() || x.scalar_type() != torch::kBFloat16 || !kernels::HasBf16Kernels()) {
    return torch::silu(x);
  }
  return SiluFunction::apply(x.contiguous());
}

}  // namespace hidreamer::layers
