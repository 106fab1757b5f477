#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// One category per row by inversion of the cumulative distribution: row b gets the category where
// `uniforms`[b] falls. Rows need not sum to 1. probabilities (..., V), uniforms (...) in [0, 1) ->
// (...) i64.
torch::Tensor CategoryAt(const torch::Tensor& probabilities, const torch::Tensor& uniforms);

// The same for softmax(logits / temperature), in one pass over f32 logits on the CPU.
torch::Tensor CategoryOfLogits(const torch::Tensor& logits, double temperature,
                               const torch::Tensor& uniforms);

}  // namespace hidreamer::layers
