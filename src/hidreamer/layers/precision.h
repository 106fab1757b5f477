#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

// Mixed precision: matrix products in bf16 where the hardware has it, everything delicate in f32.
namespace hidreamer::layers {

enum class Precision { kF32, kBf16 };

std::string PrecisionName(Precision precision);  // "f32", "bf16"

// Median milliseconds of Linear from (rows, width) to 4 width, with its gradient, on `device`.
double TimeLinear(Precision precision, int64_t rows, int64_t width,
                  torch::Device device = torch::kCPU);

// config_value "f32" or "bf16": that. "auto": times a linear layer of the model's own shape (rows
// of the batch, width of the model) with its gradient in both and takes bf16 if it is at least 10 %
// faster. Where KeepsTorchInF32 it takes bf16 for all that our kernels can do, without timing. The
// result depends on the machine: a run records it and a resumed run keeps it.
Precision ChoosePrecision(const std::string& config_value, int64_t rows, int64_t width,
                          torch::Device device = torch::kCPU);

// Whether the processor has instructions that our kernels for bf16 are compiled for, and which:
// "AVX-512 and matrix units", "AVX-512", "AVX2" or "none".
bool HasCpuKernels();
std::string CpuKernels();

// Whether torch's own products are left in f32 under bf16 autocast: the CPU has no instruction for
// bf16, and torch's take much longer then. Only kernels of our own take bf16.
bool KeepsTorchInF32(torch::Device device);
// What torch's own products take under AutocastGuard(device, precision).
torch::ScalarType TypeOfTorch(Precision precision, torch::Device device);

// Whether autocast to bf16 is on for the device on this thread.
bool IsBf16Autocast(torch::Device device);

// While alive, matrix products are in the given precision on this thread, by torch's autocast but
// where KeepsTorchInF32; losses, returns and vector-quantizer distances stay in f32 by explicit
// casts at their place. Restores the state before it and drops the cached bf16 weights, so no stale
// weight outlives an optimizer step.
class AutocastGuard {
 public:
  AutocastGuard(torch::Device device, Precision precision);
  explicit AutocastGuard(Precision precision) : AutocastGuard(torch::kCPU, precision) {}
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  torch::Device device_;
  bool enabled_before_, own_before_;
  at::ScalarType dtype_before_;
};

}  // namespace hidreamer::layers
