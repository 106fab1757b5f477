#include "hidreamer/nn/precision.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/torch_compat.h"

namespace hidreamer::nn {
namespace {

constexpr int kTimedRuns = 5;
constexpr double kWorthwhile = 0.9;  // bf16 must take at most this share of f32's time

}  // namespace

std::string PrecisionName(Precision precision) {
  return precision == Precision::kBf16 ? "bf16" : "f32";
}

double TimeMatmul(Precision precision, int64_t rows, int64_t width, torch::Device device) {
  torch::NoGradGuard no_grad;
  const auto options =
      torch::TensorOptions()
          .dtype(precision == Precision::kBf16 ? torch::kBFloat16 : torch::kFloat32)
          .device(device);
  const torch::Tensor x = torch::ones({rows, width}, options);
  const torch::Tensor w = torch::ones({width, 4 * width}, options);
  torch::matmul(x, w)[0][0].item<float>();  // first call pays for set-up
  std::array<double, kTimedRuns> milliseconds;
  for (double& time : milliseconds) {
    const auto start = std::chrono::steady_clock::now();
    torch::matmul(x, w)[0][0].item<float>();  // item waits for the device
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
  // Where bf16 is emulated, a product of the full size may take seconds: a slice of it tells.
  const int64_t slice = std::min<int64_t>(rows, 64);
  if (TimeMatmul(Precision::kBf16, slice, width, device) >
      3 * TimeMatmul(Precision::kF32, slice, width, device)) {
    return Precision::kF32;
  }
  const double bf16 = TimeMatmul(Precision::kBf16, rows, width, device);
  const double f32 = TimeMatmul(Precision::kF32, rows, width, device);
  return bf16 < kWorthwhile * f32 ? Precision::kBf16 : Precision::kF32;
}

bool IsBf16Autocast(torch::Device device) {
  return compat::IsAutocastEnabled(device) && compat::AutocastType(device) == torch::kBFloat16;
}

AutocastGuard::AutocastGuard(torch::Device device, Precision precision)
    : device_(device),
      enabled_before_(compat::IsAutocastEnabled(device)),
      dtype_before_(compat::AutocastType(device)) {
  at::autocast::increment_nesting();
  compat::SetAutocast(device_, precision == Precision::kBf16, torch::kBFloat16);
}

AutocastGuard::~AutocastGuard() {
  if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  compat::SetAutocast(device_, enabled_before_, dtype_before_);
}

}  // namespace hidreamer::nn
