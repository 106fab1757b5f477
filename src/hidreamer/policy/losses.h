#pragma once

#include <torch/torch.h>

#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::policy {

// What the actor learns from: the steps of a batch of dreams, all (B, H), none with a gradient.
struct PolicyTargets {
  torch::Tensor actions;     // i64, as played in the dream
  torch::Tensor advantages;  // (G - V) / scale
  torch::Tensor weights;     // ContinueWeights; each term is multiplied by it, sums are divided by
                             // B H
};

// REINFORCE (Williams, 1992) on lambda-returns with an entropy bonus:
//   -mean(w (log pi(a) advantage + entropy_scale entropy)), entropy_scale ()
torch::Tensor ReinforceLoss(const ActionDistribution& policy, const PolicyTargets& targets,
                            const torch::Tensor& entropy_scale);

// PPO's clipped objective (Schulman et al., 2017, eq. 7) with an entropy bonus:
//   -mean(w (min(q A, clip(q, 1 - clip, 1 + clip) A) + entropy_scale entropy)),  q = pi(a) / old
//   pi(a)
// old_log_probs (B, H): of the actions under the policy that dreamed them.
torch::Tensor PpoLoss(const ActionDistribution& policy, const PolicyTargets& targets,
                      const torch::Tensor& old_log_probs, double clip,
                      const torch::Tensor& entropy_scale);

}  // namespace hidreamer::policy
