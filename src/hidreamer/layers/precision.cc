#include "hidreamer/layers/precision.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/linear.h"
#include "hidreamer/training/device.h"
#include "hidreamer/training/torch_compat.h"

namespace hidreamer::layers {
namespace {

constexpr int kTimedRuns = 5;
constexpr double kWorthwhile = 0.9;  // bf16 must take at most this share of f32's time

// bf16 autocast on a CPU where torch is kept in f32.
thread_local bool own_kernels_take_bf16 = false;

}  // namespace

std::string PrecisionName(Precision precision) {
  return precision == Precision::kBf16 ? "bf16" : "f32";
}

double TimeLinear(Precision precision, int64_t rows, int64_t width, torch::Device device) {
  const torch::AutoGradMode with_gradients(true);
  const AutocastGuard autocast(device, precision);
  const auto leaf = [&](at::IntArrayRef sizes) {
    return torch::ones(sizes, torch::TensorOptions(device).requires_grad(true));
  };
  const torch::Tensor x = leaf({rows, width}), weight = leaf({4 * width, width});
  const torch::Tensor bias = leaf({4 * width});
  const auto run = [&] {
    const torch::Tensor out = Linear(x, weight, bias);
    torch::autograd::grad({out}, {x, weight, bias}, {torch::ones_like(out)});
    training::WaitFor(device);
  };
  run();  // the first call pays for set-up
  std::array<double, kTimedRuns> milliseconds;
  for (double& time : milliseconds) {
    const auto start = std::chrono::steady_clock::now();
    run();
    time =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  return milliseconds[kTimedRuns / 2];
}

Precision ChoosePrecision(const std::string& config_value, int64_t rows, int64_t width,
                          torch::Device device) {
  if (config_value == "f32") {
    return Precision::kF32;
  }
  if (config_value == "bf16") {
    return Precision::kBf16;
  }
  if (config_value != "auto") {
    throw UserError("one of auto, f32, bf16", "unknown precision '{}'", config_value);
  }
  if (KeepsTorchInF32(device)) {
    return width % kernels::kPanelOutputs == 0 ? Precision::kBf16 : Precision::kF32;
  }
  // Where bf16 is emulated, a product of the full size may take seconds: a slice of it tells.
  const int64_t slice = std::min<int64_t>(rows, 256);
  if (TimeLinear(Precision::kBf16, slice, width, device) >
      3 * TimeLinear(Precision::kF32, slice, width, device)) {
    return Precision::kF32;
  }
  const double bf16 = TimeLinear(Precision::kBf16, rows, width, device);
  const double f32 = TimeLinear(Precision::kF32, rows, width, device);
  return bf16 < kWorthwhile * f32 ? Precision::kBf16 : Precision::kF32;
}

bool HasCpuKernels() { return kernels::HasBf16Kernels(); }

std::string CpuKernels() {
  switch (kernels::Bf16KernelsHere()) {
    case kernels::Bf16Kernels::kAvx512:
      return kernels::HasMatrixUnits() ? "AVX-512 and matrix units" : "AVX-512";
    case kernels::Bf16Kernels::kAvx2:
      return "AVX2";
    case kernels::Bf16Kernels::kNone:
      break;
  }
  return "none";
}

bool KeepsTorchInF32(torch::Device device) {
  return device.is_cpu() && kernels::Bf16KernelsHere() == kernels::Bf16Kernels::kAvx2;
}

torch::ScalarType TypeOfTorch(Precision precision, torch::Device device) {
  return precision == Precision::kBf16 && !KeepsTorchInF32(device) ? torch::kBFloat16
                                                                   : torch::kFloat32;
}

bool IsBf16Autocast(torch::Device device) {
  if (KeepsTorchInF32(device)) {
    return own_kernels_take_bf16;
  }
  return training::compat::IsAutocastEnabled(device) &&
         training::compat::AutocastType(device) == torch::kBFloat16;
}

AutocastGuard::AutocastGuard(torch::Device device, Precision precision)
    : device_(device),
      enabled_before_(training::compat::IsAutocastEnabled(device)),
      own_before_(own_kernels_take_bf16),
      dtype_before_(training::compat::AutocastType(device)) {
  at::autocast::increment_nesting();
  const bool wanted = precision == Precision::kBf16, own = KeepsTorchInF32(device);
  training::compat::SetAutocast(device_, wanted && !own, torch::kBFloat16);
  if (device_.is_cpu()) {
    own_kernels_take_bf16 = wanted && own;
  }
}

AutocastGuard::~AutocastGuard() {
  if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  training::compat::SetAutocast(device_, enabled_before_, dtype_before_);
  own_kernels_take_bf16 = own_before_;
}

}  // namespace hidreamer::layers
