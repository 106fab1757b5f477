#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// Whether Bf16Linear can take the place of torch::linear with a gradient: under bf16 autocast, x
// (..., K) on the CPU with the instructions, K and N multiples of 32, weight (N, K) f32 and
// contiguous, and enough rows to pay for packing the weight.
bool HasBf16Linear(const torch::Tensor& x, const torch::Tensor& weight);

// x (..., K) times weight (N, K) transposed, + bias (N) unless undefined: (..., N) bf16. All three
// products by the tile of kernels/gemm.h, in blocks that are shared out to whichever thread is
// free. The weight's gradient is summed in f32. The results do not depend on the threads.
torch::Tensor Bf16Linear(const torch::Tensor& x, const torch::Tensor& weight,
                         const torch::Tensor& bias);

}  // namespace hidreamer::layers
