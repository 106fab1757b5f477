#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace hidreamer::policy {

struct AcCpcOptions {
  int64_t feature_width = 1152;
  int64_t width = 256;  // of the contrastive space
  int64_t steps = 3;    // k, how far ahead the target lies
  int64_t actions = 0;  // A: the predictor also sees the k actions in between; 0: it does not
  double temperature = 0.1;
};

// Action-conditioned contrastive predictive coding (TWISTER, Burchi and Timofte, 2025): from the
// feature of step t and the actions t .. t+k-1 tell which of all the batch's features is that of
// step t+k.
//   predictor(feature_t, a_t .. a_{t+k-1})  against  projector(feature_{t+k}), InfoNCE over all
//   pairs
// Parameters predictor.0, predictor.2, projector.
class AcCpcImpl : public torch::nn::Module {
 public:
  explicit AcCpcImpl(const AcCpcOptions& options);
  const AcCpcOptions& options() const { return options_; }

  // features (B, T, F) with gradient (into the anchors only), actions (B, T) i64 (not looked at
  // where options.actions is 0), T > k -> () loss, the mean over B (T - k) pairs.
  torch::Tensor forward(const torch::Tensor& features, const torch::Tensor& actions);

 private:
  AcCpcOptions options_;
  torch::nn::Sequential predictor_{nullptr};
  torch::nn::Linear projector_{nullptr};
};
TORCH_MODULE(AcCpc);

}  // namespace hidreamer::policy
