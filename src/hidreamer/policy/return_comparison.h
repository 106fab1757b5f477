#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <nlohmann/json.hpp>

namespace hidreamer::policy {

// Rewards of the next H steps, dreamed and real, of a policy from the same N states: sums, not
// discounted. Gains and losses also apart, as their difference says little where they are about
// equal. Errors are standard errors of means, those of differences paired by state.
struct ReturnComparison {
  int64_t starts = 0;  // N
  double dream_mean = 0, dream_error = 0;
  double real_mean = 0, real_error = 0;
  double difference_error = 0;
  double dream_gains = 0, real_gains = 0, gains_difference_error = 0;
  double dream_losses = 0, real_losses = 0, losses_difference_error = 0;
  double correlation = 0;  // over states; 0 where either does not vary

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(ReturnComparison, starts, dream_mean, dream_error, real_mean,
                                 real_error, difference_error, dream_gains, real_gains,
                                 gains_difference_error, dream_losses, real_losses,
                                 losses_difference_error, correlation)
};

// All (N, H). A dreamed reward counts as much as the dream says that the game still goes on.
ReturnComparison CompareReturns(const torch::Tensor& dream_rewards, const torch::Tensor& continues,
                                const torch::Tensor& real_rewards);

}  // namespace hidreamer::policy
