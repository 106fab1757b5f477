#include "hidreamer/policy/losses.h"

namespace hidreamer::policy {

torch::Tensor ReinforceLoss(const ActionDistribution& policy, const PolicyTargets& targets,
                            const torch::Tensor& entropy_scale) {
  const auto objective =
      policy.LogProb(targets.actions) * targets.advantages + entropy_scale * policy.Entropy();
  return -(targets.weights * objective).mean();
}

torch::Tensor PpoLoss(const ActionDistribution& policy, const PolicyTargets& targets,
                      const torch::Tensor& old_log_probs, double clip,
                      const torch::Tensor& entropy_scale) {
  const auto ratio = torch::exp(policy.LogProb(targets.actions) - old_log_probs);  // (B, H)
  const auto surrogate = torch::minimum(ratio * targets.advantages,
                                        ratio.clamp(1 - clip, 1 + clip) * targets.advantages);
  return -(targets.weights * (surrogate + entropy_scale * policy.Entropy())).mean();
}

}  // namespace hidreamer::policy
