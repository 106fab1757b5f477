#include "hidreamer/layers/transformer.h"

#include <limits>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/attention.h"
#include "hidreamer/layers/dropout.h"
#include "hidreamer/layers/fused_attention.h"
#include "hidreamer/layers/linear.h"
#include "hidreamer/layers/norm_activation.h"

namespace hidreamer::layers {
namespace {

// The norm is of the type that the product after it takes.
Normalized Normalize(const torch::nn::LayerNorm& norm, const torch::Tensor& x) {
  if (HasBf16Layers(x)) {
    return NormalizeToBf16(x, norm->weight, norm->bias, norm->options.eps());
  }
  return {torch::layer_norm(x, norm->options.normalized_shape(), norm->weight, norm->bias,
                            norm->options.eps()),
          x};
}

}  // namespace

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

bool SelfAttentionImpl::SumsBiasGradient(const torch::Tensor& x) const {
  const int64_t width = in_proj_weight_.size(1);
  return x.is_cpu() && x.scalar_type() == torch::kBFloat16 && kernels::HasBf16Kernels() &&
         width / heads_ % 32 == 0 && torch::GradMode::is_enabled() && in_proj_bias_.requires_grad();
}

torch::Tensor SelfAttentionImpl::Project(const torch::Tensor& x) {
  return Linear(x, in_proj_weight_, SumsBiasGradient(x) ? in_proj_bias_.detach() : in_proj_bias_);
}

torch::Tensor SelfAttentionImpl::AddOutput(const torch::Tensor& residual,
                                           const torch::Tensor& attended) {
  if (HasBf16Layers(residual)) {
    return BiasDropoutAdd(residual, Linear(attended, out_proj_->weight), out_proj_->bias, 0.0,
                          false);
  }
  return residual + Linear(attended, out_proj_->weight, out_proj_->bias);
}

torch::Tensor SelfAttentionImpl::Attend(const torch::Tensor& qkv, const AttentionPattern& pattern) {
  const double dropout = is_training() ? dropout_ : 0.0;
  if (qkv.is_cuda()) {
    const int64_t b = qkv.size(0), p = qkv.size(1), width = qkv.size(2) / 3;
    std::vector<torch::Tensor> parts = qkv.chunk(3, -1);  // (B, P, D); one copy in the gradient
    for (torch::Tensor& part : parts) {
      part = part.view({b, p, heads_, width / heads_}).transpose(1, 2);
    }
    return Attention(parts[0], parts[1], parts[2], pattern.allowed, dropout, is_training())
        .transpose(1, 2)
        .reshape({b, p, width});
  }
  if (SumsBiasGradient(qkv)) {
    return FusedAttentionOfBiased(qkv, in_proj_bias_, pattern.additive, heads_, dropout);
  }
  return HasFusedAttention(qkv, heads_) ? FusedAttention(qkv, pattern.additive, heads_, dropout)
                                        : PlainAttention(qkv, pattern.additive, heads_, dropout);
}

FeedForwardImpl::FeedForwardImpl(int64_t width, int64_t hidden_width, double dropout)
    : dropout_(dropout) {
  expand_ = register_module("0", torch::nn::Linear(width, hidden_width));
  contract_ = register_module("3", torch::nn::Linear(hidden_width, width));
}

torch::Tensor FeedForwardImpl::AddTo(const torch::Tensor& residual, const torch::Tensor& x) {
  if (HasBf16Layers(residual) && IsBf16RowWidth(expand_->weight.size(0))) {
    const torch::Tensor hidden =
        BiasGeluDropout(Linear(x, expand_->weight), expand_->bias, dropout_, is_training());
    return BiasDropoutAdd(residual, Linear(hidden, contract_->weight), contract_->bias, dropout_,
                          is_training());
  }
  const torch::Tensor hidden = torch::gelu(Linear(x, expand_->weight, expand_->bias));  // (…, F)
  const torch::Tensor dropped = Dropout(hidden, dropout_, is_training());
  return residual +
         Dropout(Linear(dropped, contract_->weight, contract_->bias), dropout_, is_training());
}

TransformerBlockImpl::TransformerBlockImpl(int64_t width, int64_t heads, int64_t ffn_width,
                                           double dropout) {
  attn_ = register_module("attn", SelfAttention(width, heads, dropout));
  ffn_ = register_module("ffn", FeedForward(width, ffn_width, dropout));
  ln1_ = register_module("ln1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
  ln2_ = register_module("ln2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
}

torch::Tensor TransformerBlockImpl::forward(
    const torch::Tensor& x, const AttentionPattern& pattern, torch::Tensor* qkv,
    const std::function<torch::Tensor(const torch::Tensor&)>& choose) {
  const Normalized input = Normalize(ln1_, x);
  const torch::Tensor projected = attn_->Project(input.normed);  // (B, P, 3 D)
  if (qkv != nullptr) {
    *qkv = projected;
  }
  const torch::Tensor attended = attn_->Attend(projected, pattern);
  return choose ? Finish(choose(input.x), choose(attended)) : Finish(input.x, attended);
}

torch::Tensor TransformerBlockImpl::ProjectNormed(const torch::Tensor& x) {
  return attn_->Project(Normalize(ln1_, x).normed);
}

torch::Tensor TransformerBlockImpl::Finish(const torch::Tensor& x, const torch::Tensor& attended) {
  const Normalized after_attention = Normalize(ln2_, attn_->AddOutput(x, attended));
  return ffn_->AddTo(after_attention.x, after_attention.normed);
}

}  // namespace hidreamer::layers
