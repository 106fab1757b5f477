#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// Attention of one query a sequence over the cache places [begin, end), softmax(q k' / sqrt(d)) v.
//   q (B, heads, d); keys and values (B, heads, places, d) -> (B, heads * d). Without gradients.
torch::Tensor DecodeAttention(const torch::Tensor& q, const torch::Tensor& keys,
                              const torch::Tensor& values, int64_t begin, int64_t end);
// Each sequence from a begin of its own, (B) int64.
torch::Tensor DecodeAttention(const torch::Tensor& q, const torch::Tensor& keys,
                              const torch::Tensor& values, const torch::Tensor& begins,
                              int64_t end);

}  // namespace hidreamer::layers
