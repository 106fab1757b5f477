#include "hidreamer/policy/normalizer.h"

namespace hidreamer::policy {

void ReturnNormalizer::Update(const torch::Tensor& returns) {
  torch::NoGradGuard no_grad;
  const auto values = returns.to(torch::kFloat64).flatten();
  // A loaded state lies on the CPU.
  low_ = low_.to(values.device());
  high_ = high_.to(values.device());
  const double new_share = started_ ? 1 - options_.decay : 1;
  low_ = (1 - new_share) * low_ + new_share * torch::quantile(values, options_.low);
  high_ = (1 - new_share) * high_ + new_share * torch::quantile(values, options_.high);
  started_ = true;
}

torch::Tensor ReturnNormalizer::Scale() const {
  return (high_ - low_).clamp_min(options_.min_scale);
}

formats::TensorMap ReturnNormalizer::State() const {
  return {
      {"low", low_}, {"high", high_}, {"started", torch::tensor(started_ ? 1 : 0, torch::kUInt8)}};
}

void ReturnNormalizer::LoadState(const formats::TensorMap& state) {
  low_ = state.at("low").clone();
  high_ = state.at("high").clone();
  started_ = state.at("started").item<uint8_t>() != 0;
}

}  // namespace hidreamer::policy
