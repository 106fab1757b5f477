#include "hidreamer/layers/attention.h"

#include <cmath>
#include <limits>

#include "hidreamer/training/torch_compat.h"

namespace hidreamer::layers {

torch::Tensor Attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        const torch::Tensor& mask, double dropout, bool training) {
  const double active_dropout = training ? dropout : 0.0;
  if (const torch::Tensor fused = training::compat::FusedAttention(q, k, v, mask, active_dropout);
      fused.defined()) {
    return fused;
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  torch::Tensor scores = torch::matmul(q * scale, k.transpose(-2, -1));  // (B, heads, Q, S)
  if (mask.defined()) {
    scores = scores.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
  }
  torch::Tensor weights = torch::softmax(scores, -1);
  if (active_dropout > 0) {
    weights = torch::dropout(weights, active_dropout, /*train=*/true);
  }
  return torch::matmul(weights, v);
}

}  // namespace hidreamer::layers
