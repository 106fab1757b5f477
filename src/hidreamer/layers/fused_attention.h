#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// Masked multi-head self-attention with dropout on the weights, softmax(q k' / sqrt(d) + additive)
// v, head by head.
//   qkv (B, P, 3 D): q, k, v side by side, head h takes columns [h d, (h+1) d) of each
//   additive (P, P) f32: 0 or -infinity; no query may attend to a later position
//   -> (B, P, D)
// The definition, in torch's operators; any device and type.
torch::Tensor PlainAttention(const torch::Tensor& qkv, const torch::Tensor& additive, int64_t heads,
                             double dropout);

// The same on the CPU: heads are spread over the threads, and the scores of some queries at a time
// stay in the cache through softmax and dropout. Keys behind a block of queries are never looked
// at. The dropout draws other elements than PlainAttention's, the same for any number of threads.
// For f32 and, where the processor multiplies it itself (kernels::HasBf16Kernels), bf16 in heads of
// a multiple of 32: the softmax is f32 there, too.
bool HasFusedAttention(const torch::Tensor& qkv, int64_t heads);
torch::Tensor FusedAttention(const torch::Tensor& qkv, const torch::Tensor& additive, int64_t heads,
                             double dropout);

// The same for bf16 qkv that hold a bias (3 D) f32 already, added without a gradient: the bias gets
// it here, from rows that are still in the cache.
torch::Tensor FusedAttentionOfBiased(const torch::Tensor& qkv, const torch::Tensor& bias,
                                     const torch::Tensor& additive, int64_t heads, double dropout);

}  // namespace hidreamer::layers
