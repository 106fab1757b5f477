#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// The layers of norm_activation.h on a GPU. Torch's operators go over these rows 3 to 8 times, and
// its sums of gradients over few columns fill a small part of the GPU. The kernels are compiled at
// their first use for the width and the GPU at hand (NVRTC). Sums are made in a fixed order.

// Whether the build has HID_CUDA and x lies on a GPU with bf16 instructions (compute
// capability 8.0).
bool HasGpuLayers(const torch::Tensor& x);
constexpr int64_t kWidestGpuNorm = 1024, kWidestGpuRow = 4096;

// As NormalizeToBf16, BiasGeluDropout, BiasDropoutAdd; contiguous inputs of the right types, rows
// of a multiple of 8 numbers. The norm returns {normed, x}. Dropout's probability is rounded to a
// multiple of 2^-16.
std::vector<torch::Tensor> GpuNormalizeToBf16(const torch::Tensor& x, const torch::Tensor& weight,
                                              const torch::Tensor& bias, double epsilon);
torch::Tensor GpuBiasGeluDropout(const torch::Tensor& x, const torch::Tensor& bias, double dropout);
torch::Tensor GpuBiasDropoutAdd(const torch::Tensor& residual, const torch::Tensor& x,
                                const torch::Tensor& bias, double dropout);

}  // namespace hidreamer::layers
