#include "hidreamer/policy/returns.h"

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::policy {

torch::Tensor LambdaReturns(const torch::Tensor& rewards, const torch::Tensor& values,
                            const torch::Tensor& continues, double gamma, double lambda) {
  const int64_t horizon = rewards.size(1);
  HID_CHECK(values.size(1) == horizon + 1, "{} values for {} rewards", values.size(1), horizon);
  HID_CHECK(continues.sizes() == rewards.sizes());
  std::vector<torch::Tensor> returns(static_cast<size_t>(horizon));
  auto next = values.select(1, horizon);  // (B)
  for (int64_t t = horizon - 1; t >= 0; --t) {
    next = rewards.select(1, t) + gamma * continues.select(1, t) *
                                      ((1 - lambda) * values.select(1, t + 1) + lambda * next);
    returns[static_cast<size_t>(t)] = next;
  }
  return torch::stack(returns, 1);  // (B, H)
}

torch::Tensor ContinueWeights(const torch::Tensor& continues, double gamma) {
  const auto discounts = gamma * continues.narrow(1, 0, continues.size(1) - 1);  // (B, H - 1)
  const auto first = torch::ones({continues.size(0), 1}, continues.options());
  return torch::cat({first, discounts}, 1).cumprod(1);  // (B, H)
}

void AddDreamMetrics(const torch::Tensor& rewards, const torch::Tensor& values,
                     const torch::Tensor& continues, const torch::Tensor& returns,
                     training::Metrics& metrics) {
  metrics.Add("return", returns.mean());
  metrics.Add("dream_reward", rewards.sum(1).mean());
  metrics.Add("rewarding_dreams", (rewards.abs() > 0.5).any(1).to(torch::kFloat32).mean());
  metrics.Add("continue", continues.mean());
  metrics.Add("value", values.mean());
}

}  // namespace hidreamer::policy
