#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// Scaled dot-product attention, softmax(q k' / sqrt(d)) v, per batch row and head (Vaswani et al.,
// 2017).
//   q (B, heads, Q, d), k and v (B, heads, S, d) -> (B, heads, Q, d)
//   mask: bool, broadcastable to (B, heads, Q, S), true = may attend; undefined: all may. A query
//   that may attend nowhere is not allowed.
// Dropout falls on the attention weights, in training only.
torch::Tensor Attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        const torch::Tensor& mask = {}, double dropout = 0, bool training = false);

}  // namespace hidreamer::layers
