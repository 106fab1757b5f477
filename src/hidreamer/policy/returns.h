#pragma once

#include <torch/torch.h>

#include "hidreamer/training/metrics.h"

namespace hidreamer::policy {

// lambda-returns (Sutton and Barto; DreamerV3 eq. 4), in plain units:
//   G_t = r_t + gamma c_t ((1 - lambda) V(s_{t+1}) + lambda G_{t+1}),   G_H = V(s_H)
// rewards (B, H), values (B, H + 1), continues (B, H) in [0, 1] -> (B, H). Computed in the inputs'
// type.
torch::Tensor LambdaReturns(const torch::Tensor& rewards, const torch::Tensor& values,
                            const torch::Tensor& continues, double gamma, double lambda);

// How much a dreamed step counts: 1, then the product of gamma c over the earlier steps, so that
// steps after a predicted end do not teach anything. continues (B, H) -> (B, H).
torch::Tensor ContinueWeights(const torch::Tensor& continues, double gamma);

// What a batch of dreams was worth, for the log: means of "return", "dream_reward" (sum of a
// dream), "rewarding_dreams" (share with a reward), "continue" and "value". Shapes as
// LambdaReturns'.
void AddDreamMetrics(const torch::Tensor& rewards, const torch::Tensor& values,
                     const torch::Tensor& continues, const torch::Tensor& returns,
                     training::Metrics& metrics);

}  // namespace hidreamer::policy
