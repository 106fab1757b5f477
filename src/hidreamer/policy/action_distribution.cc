#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::policy {

ActionDistribution::ActionDistribution(const torch::Tensor& logits, double unimix) {
  const double uniform = unimix / static_cast<double>(logits.size(-1));
  probabilities_ = torch::softmax(logits.to(torch::kFloat32), -1) * (1 - unimix) + uniform;
  log_probabilities_ = torch::log(probabilities_);
}

torch::Tensor ActionDistribution::LogProb(const torch::Tensor& actions) const {
  return log_probabilities_.gather(-1, actions.unsqueeze(-1)).squeeze(-1);
}

torch::Tensor ActionDistribution::Entropy() const {
  return -(probabilities_ * log_probabilities_).sum(-1);
}

torch::Tensor ActionDistribution::Greedy() const { return probabilities_.argmax(-1); }

}  // namespace hidreamer::policy
