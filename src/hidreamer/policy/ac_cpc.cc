#include "hidreamer/policy/ac_cpc.h"

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::policy {

namespace F = torch::nn::functional;

AcCpcImpl::AcCpcImpl(const AcCpcOptions& options) : options_(options) {
  const int64_t in = options.feature_width + options.steps * options.actions;
  predictor_ = register_module(
      "predictor",
      torch::nn::Sequential(torch::nn::Linear(in, options.feature_width), torch::nn::SiLU(),
                            torch::nn::Linear(options.feature_width, options.width)));
  projector_ =
      register_module("projector", torch::nn::Linear(options.feature_width, options.width));
}

torch::Tensor AcCpcImpl::forward(const torch::Tensor& features, const torch::Tensor& actions) {
  const int64_t anchors = features.size(1) - options_.steps;
  HID_CHECK(anchors > 0, "{} steps are too few to look {} ahead", features.size(1), options_.steps);
  std::vector<torch::Tensor> inputs = {features.narrow(1, 0, anchors)};  // (B, T - k, F)
  if (options_.actions > 0) {
    const auto one_hot = actions.unsqueeze(-1)
                             .eq(torch::arange(options_.actions, actions.options()))
                             .to(features.scalar_type());  // (B, T, A)
    for (int64_t ahead = 0; ahead < options_.steps; ++ahead) {
      inputs.push_back(one_hot.narrow(1, ahead, anchors));
    }
  }
  const auto normalize = F::NormalizeFuncOptions().p(2).dim(-1);
  const auto predicted =
      F::normalize(predictor_->forward(torch::cat(inputs, -1)), normalize).flatten(0, 1);
  const auto targets =
      F::normalize(projector_->forward(features.narrow(1, options_.steps, anchors).detach()),
                   normalize)
          .flatten(0, 1);  // (B (T - k), width)
  const auto logits = predicted.matmul(targets.t()) / options_.temperature;
  return F::cross_entropy(logits,
                          torch::arange(logits.size(0), logits.options().dtype(torch::kLong)));
}

}  // namespace hidreamer::policy
