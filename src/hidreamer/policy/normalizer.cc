#include "hidreamer/policy/normalizer.h"

#include <algorithm>
#include <vector>

namespace hidreamer::policy {

void ReturnNormalizer::Update(const torch::Tensor& returns) {
  const auto probabilities = torch::tensor({options_.low, options_.high}, torch::kFloat64);
  const auto quantiles =
      torch::quantile(returns.detach().to(torch::kCPU, torch::kFloat64).flatten(), probabilities);
  const double low = quantiles[0].item<double>();
  const double high = quantiles[1].item<double>();
  const double keep = started_ ? options_.decay : 0;
  low_ = keep * low_ + (1 - keep) * low;
  high_ = keep * high_ + (1 - keep) * high;
  started_ = true;
}

double ReturnNormalizer::Scale() const { return std::max(high_ - low_, options_.min_scale); }

nn::TensorMap ReturnNormalizer::State() const {
  return {{"low", torch::tensor(low_, torch::kFloat64)},
          {"high", torch::tensor(high_, torch::kFloat64)},
          {"started", torch::tensor(started_ ? 1 : 0, torch::kUInt8)}};
}

void ReturnNormalizer::LoadState(const nn::TensorMap& state) {
  low_ = state.at("low").item<double>();
  high_ = state.at("high").item<double>();
  started_ = state.at("started").item<uint8_t>() != 0;
}

}  // namespace hidreamer::policy
