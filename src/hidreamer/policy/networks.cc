#include "hidreamer/policy/networks.h"

#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/packed_linear.h"

namespace hidreamer::policy {

MlpHeadImpl::MlpHeadImpl(int64_t in, int64_t hidden, int64_t out) {
  net_ = register_module(
      "net",
      torch::nn::Sequential(
          torch::nn::LayerNorm(torch::nn::LayerNormOptions({in})), layers::PackedLinear(in, hidden),
          torch::nn::Functional(layers::FastSilu), layers::PackedLinear(hidden, hidden),
          torch::nn::Functional(layers::FastSilu), layers::PackedLinear(hidden, out)));
}

// Outputs are of the input's type under autocast, too: logits and values stay f32.
torch::Tensor MlpHeadImpl::forward(const torch::Tensor& x) {
  return net_->forward(x).to(x.scalar_type());
}

void MlpHeadImpl::ZeroOutput() {
  torch::NoGradGuard no_grad;
  for (auto& parameter : net_->ptr(5)->parameters()) {
    parameter.zero_();
  }
}

FeatureExtractorImpl::FeatureExtractorImpl(int64_t in, int64_t out) {
  projection_ = register_module(
      "projection", torch::nn::Sequential(torch::nn::LayerNorm(torch::nn::LayerNormOptions({in})),
                                          layers::PackedLinear(in, out),
                                          torch::nn::Functional(layers::FastSilu)));
}

torch::Tensor FeatureExtractorImpl::forward(const torch::Tensor& x) {
  return projection_->forward(x).to(x.scalar_type());
}

}  // namespace hidreamer::policy
