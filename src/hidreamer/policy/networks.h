#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace hidreamer::policy {

// LayerNorm, Linear, SiLU, Linear, SiLU, Linear: actor, critic, reward and continue networks.
//   x (..., in) --> (..., out)       parameters net.0, net.1, net.3, net.5
class MlpHeadImpl : public torch::nn::Module {
 public:
  MlpHeadImpl(int64_t in, int64_t hidden, int64_t out);

  torch::Tensor forward(const torch::Tensor& x);  // (..., in) -> (..., out)

  // Sets the last layer to zero: a critic that starts at 0 and an actor that starts uniform
  // (DreamerV3, appendix).
  void ZeroOutput();

 private:
  torch::nn::Sequential net_{nullptr};
};
TORCH_MODULE(MlpHead);

// What actor, critic and contrastive head share: LayerNorm, Linear, SiLU over the state's feature.
//   x (..., in) --> (..., out)       parameters projection.0, projection.1
class FeatureExtractorImpl : public torch::nn::Module {
 public:
  FeatureExtractorImpl(int64_t in, int64_t out);

  torch::Tensor forward(const torch::Tensor& x);  // (..., in) -> (..., out)

 private:
  torch::nn::Sequential projection_{nullptr};
};
TORCH_MODULE(FeatureExtractor);

}  // namespace hidreamer::policy
