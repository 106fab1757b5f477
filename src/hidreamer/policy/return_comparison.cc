#include "hidreamer/policy/return_comparison.h"

#include <cmath>

#include "hidreamer/policy/returns.h"

namespace hidreamer::policy {
namespace {

double Mean(const torch::Tensor& x) { return x.mean().item<double>(); }

double ErrorOfMean(const torch::Tensor& x) {
  const auto n = static_cast<double>(x.numel());
  return n > 1 ? x.std().item<double>() / std::sqrt(n) : 0;
}

}  // namespace

ReturnComparison CompareReturns(const torch::Tensor& dream_rewards, const torch::Tensor& continues,
                                const torch::Tensor& real_rewards) {
  torch::NoGradGuard no_grad;
  const auto alive = ContinueWeights(continues, 1).to(torch::kCPU, torch::kFloat64);
  const auto dreamed = dream_rewards.to(torch::kCPU, torch::kFloat64);
  const auto recorded = real_rewards.to(torch::kCPU, torch::kFloat64);
  const auto dream = (dreamed * alive).sum(1), real = recorded.sum(1);
  const auto dream_gains = (dreamed.clamp_min(0) * alive).sum(1);
  const auto real_gains = recorded.clamp_min(0).sum(1);
  const auto dream_losses = dream_gains - dream, real_losses = real_gains - real;
  const auto a = dream - dream.mean(), b = real - real.mean();
  const double spread = (a.square().sum() * b.square().sum()).sqrt().item<double>();
  return {.starts = dream.numel(),
          .dream_mean = Mean(dream),
          .dream_error = ErrorOfMean(dream),
          .real_mean = Mean(real),
          .real_error = ErrorOfMean(real),
          .difference_error = ErrorOfMean(dream - real),
          .dream_gains = Mean(dream_gains),
          .real_gains = Mean(real_gains),
          .gains_difference_error = ErrorOfMean(dream_gains - real_gains),
          .dream_losses = Mean(dream_losses),
          .real_losses = Mean(real_losses),
          .losses_difference_error = ErrorOfMean(dream_losses - real_losses),
          .correlation = spread > 0 ? (a * b).sum().item<double>() / spread : 0};
}

}  // namespace hidreamer::policy
