#pragma once

#include <torch/torch.h>

#include "hidreamer/kernels/gemm.h"

namespace hidreamer::layers {

// The numbers of a bf16 tensor as kernels take them.
inline kernels::Bf16* Bf16Data(const torch::Tensor& x) {
  return reinterpret_cast<kernels::Bf16*>(x.data_ptr<at::BFloat16>());
}

// Of x's shape and device, not filled, without a gradient.
inline torch::Tensor EmptyAs(const torch::Tensor& x, torch::ScalarType type) {
  return torch::empty(x.sizes(), x.options().dtype(type).requires_grad(false));
}

// What lies between a transformer's products under bf16 autocast, each in one pass forward and one
// back, where torch's operators take 3 to 8 and, on a CPU, draw dropout's numbers on one thread.
// Streams between blocks are f32, inputs and outputs of products bf16, all sums f32. The results do
// not depend on the number of threads.

// Whether the functions below can be used: autocast to bf16 is on for the device of x (..., D) f32,
// D is a multiple of 16 (on a GPU up to 1024), and the processor or GPU has bf16 instructions.
bool HasBf16Layers(const torch::Tensor& x);
// Whether they, but for the norm, take rows of so many numbers.
bool IsBf16RowWidth(int64_t width);

// x (..., D) f32 -> its layer norm in bf16, and x itself for the residual that passes it by: both
// gradients are then added in one pass. weight, bias (D) f32.
struct Normalized {
  torch::Tensor normed, x;
};
Normalized NormalizeToBf16(const torch::Tensor& x, const torch::Tensor& weight,
                           const torch::Tensor& bias, double epsilon);

// dropout(gelu(x + bias)): x (..., N) bf16, bias (N) f32 -> (..., N) bf16. GELU to 7e-7.
torch::Tensor BiasGeluDropout(const torch::Tensor& x, const torch::Tensor& bias, double probability,
                              bool training);

// residual + dropout(x + bias): residual (..., D) f32, x (..., D) bf16, bias (D) f32 -> f32.
torch::Tensor BiasDropoutAdd(const torch::Tensor& residual, const torch::Tensor& x,
                             const torch::Tensor& bias, double probability, bool training);

// silu(x), with its gradient, in one pass for bf16 where the processor has the instructions; else
// torch's.
torch::Tensor FastSilu(const torch::Tensor& x);

}  // namespace hidreamer::layers
