#pragma once

#include <torch/torch.h>

#include <functional>

namespace hidreamer::layers {

// Which keys each query of a sequence may attend to, in the forms the attention needs. Built once
// for a sequence length and used by every block.
struct AttentionPattern {
  torch::Tensor allowed;   // (P, P) bool, [query, key]
  torch::Tensor additive;  // (P, P) f32, 0 where allowed, -infinity elsewhere
};
AttentionPattern MakeAttentionPattern(const torch::Tensor& allowed);

// Multi-head self-attention (Vaswani et al., 2017). State names in_proj_weight (rows q, k, v),
// in_proj_bias, out_proj.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(int64_t width, int64_t heads, double dropout);

  // x (B, P, D) -> q, k, v side by side (B, P, 3 D); head h takes columns [h d, (h+1) d) of each.
  // Where Attend sums up the bias's gradient, it is added without one.
  torch::Tensor Project(const torch::Tensor& x);
  // Attention itself: qkv (B, P, 3 D) -> (B, P, D).
  torch::Tensor Attend(const torch::Tensor& qkv, const AttentionPattern& pattern);
  // residual + the output projection of attended, (B, P, D) each.
  torch::Tensor AddOutput(const torch::Tensor& residual, const torch::Tensor& attended);

 private:
  // Whether Attend gives the bias of the projections its gradient: x, the norm or the projections,
  // is bf16 on the CPU and something is trained.
  bool SumsBiasGradient(const torch::Tensor& x) const;

  int64_t heads_;
  double dropout_;
  torch::Tensor in_proj_weight_, in_proj_bias_;
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(SelfAttention);

// Linear, exact GELU, dropout, linear, dropout. State names 0 and 3.
class FeedForwardImpl : public torch::nn::Module {
 public:
  FeedForwardImpl(int64_t width, int64_t hidden_width, double dropout);
  // residual + what the layers make of x, its norm, (..., D) each.
  torch::Tensor AddTo(const torch::Tensor& residual, const torch::Tensor& x);

 private:
  double dropout_;
  torch::nn::Linear expand_{nullptr}, contract_{nullptr};
};
TORCH_MODULE(FeedForward);

// Pre-norm block: x += attention(ln1(x)); x += ffn(ln2(x)).
class TransformerBlockImpl : public torch::nn::Module {
 public:
  TransformerBlockImpl(int64_t width, int64_t heads, int64_t ffn_width, double dropout);

  // x (B, P, D) -> (B, P, D). Where `qkv` is given it receives the attention's (B, P, 3 D)
  // projection (a decoder keeps its keys and values). Where `choose` is given, what follows the
  // attention is computed only for the positions that it takes of (B, P, D).
  torch::Tensor forward(const torch::Tensor& x, const AttentionPattern& pattern,
                        torch::Tensor* qkv = nullptr,
                        const std::function<torch::Tensor(const torch::Tensor&)>& choose = {});

  // The block in two halves around an attention computed elsewhere (decoder).
  torch::Tensor ProjectNormed(const torch::Tensor& x);  // (…, D) -> (…, 3 D)
  torch::Tensor Finish(const torch::Tensor& x, const torch::Tensor& attended);  // (…, D) each

 private:
  SelfAttention attn_{nullptr};
  FeedForward ffn_{nullptr};
  torch::nn::LayerNorm ln1_{nullptr}, ln2_{nullptr};
};
TORCH_MODULE(TransformerBlock);

}  // namespace hidreamer::layers
