#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// x (..., K) times weight (N, K) transposed, plus bias (N) if there is one: (..., N). As
// torch::linear; few rows without gradient, in f32 on the CPU, take a kernel of our own, because
// the library then spends a third of its time on rearranging the weights, and many rows with one in
// bf16 take those of bf16_linear.h.
torch::Tensor Linear(const torch::Tensor& x, const torch::Tensor& weight,
                     const torch::Tensor& bias = {});

}  // namespace hidreamer::layers
