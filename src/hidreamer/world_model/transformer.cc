#include "hidreamer/world_model/transformer.h"

#include <cmath>
#include <limits>

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {

AttentionPattern MakeAttentionPattern(const torch::Tensor& allowed) {
  AttentionPattern pattern;
  pattern.allowed = allowed;
  pattern.additive = torch::zeros(allowed.sizes(), allowed.options().dtype(torch::kFloat32))
                         .masked_fill_(allowed.logical_not(),
                                       -std::numeric_limits<double>::infinity());  // (P, P)
  return pattern;
}

SelfAttentionImpl::SelfAttentionImpl(int64_t width, int64_t heads, double dropout)
    : heads_(heads), dropout_(dropout) {
  HID_CHECK(width % heads == 0, "width {} is not a multiple of {} heads", width, heads);
  in_proj_weight_ = register_parameter("in_proj_weight", torch::empty({3 * width, width}));
  in_proj_bias_ = register_parameter("in_proj_bias", torch::zeros({3 * width}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(width, width));
  torch::nn::init::xavier_uniform_(in_proj_weight_);
  torch::nn::init::zeros_(out_proj_->bias);
}

torch::Tensor SelfAttentionImpl::Project(const torch::Tensor& x) {
  return torch::linear(x, in_proj_weight_, in_proj_bias_);
}

torch::Tensor SelfAttentionImpl::Attend(const torch::Tensor& qkv, const AttentionPattern& pattern) {
  const int64_t batch = qkv.size(0), positions = qkv.size(1), width = qkv.size(2) / 3;
  const int64_t head_width = width / heads_;
  const torch::Tensor split =
      qkv.view({batch, positions, 3, heads_, head_width}).permute({2, 0, 3, 1, 4});
  const torch::Tensor q = split[0].reshape({batch * heads_, positions, head_width});
  const torch::Tensor k = split[1].reshape({batch * heads_, positions, head_width});
  const torch::Tensor v = split[2].reshape({batch * heads_, positions, head_width});
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_width));
  const torch::Tensor scores =
      torch::baddbmm(pattern.additive.to(q.scalar_type()), q, k.transpose(1, 2), /*beta=*/1,
                     /*alpha=*/scale);  // (B*heads, P, P)
  const torch::Tensor weights = torch::dropout(torch::softmax(scores, -1), dropout_, is_training());
  return torch::bmm(weights, v)
      .view({batch, heads_, positions, head_width})
      .transpose(1, 2)
      .reshape({batch, positions, width});
}

FeedForwardImpl::FeedForwardImpl(int64_t width, int64_t hidden_width, double dropout)
    : dropout_(dropout) {
  expand_ = register_module("0", torch::nn::Linear(width, hidden_width));
  contract_ = register_module("3", torch::nn::Linear(hidden_width, width));
}

torch::Tensor FeedForwardImpl::forward(const torch::Tensor& x) {
  const torch::Tensor hidden = torch::gelu(expand_->forward(x));  // (…, F)
  const torch::Tensor dropped = torch::dropout(hidden, dropout_, is_training());
  return torch::dropout(contract_->forward(dropped), dropout_, is_training());
}

TransformerBlockImpl::TransformerBlockImpl(int64_t width, int64_t heads, int64_t ffn_width,
                                           double dropout) {
  attn_ = register_module("attn", SelfAttention(width, heads, dropout));
  ffn_ = register_module("ffn", FeedForward(width, ffn_width, dropout));
  ln1_ = register_module("ln1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
  ln2_ = register_module("ln2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
}

torch::Tensor TransformerBlockImpl::forward(const torch::Tensor& x, const AttentionPattern& pattern,
                                            torch::Tensor* qkv) {
  const torch::Tensor projected = ProjectNormed(x);  // (B, P, 3 D)
  if (qkv != nullptr) {
    *qkv = projected;
  }
  return Finish(x, attn_->Attend(projected, pattern));
}

torch::Tensor TransformerBlockImpl::Finish(const torch::Tensor& x, const torch::Tensor& attended) {
  const torch::Tensor after_attention = x + attn_->Output(attended);
  return after_attention + ffn_->forward(ln2_->forward(after_attention));
}

}  // namespace hidreamer::world_model
