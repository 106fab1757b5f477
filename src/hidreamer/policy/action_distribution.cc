#include "hidreamer/policy/action_distribution.h"

#include "hidreamer/layers/categorical.h"

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

torch::Tensor ChooseActions(const torch::Tensor& probabilities, double temperature,
                            const torch::Tensor& uniforms) {
  if (temperature == 0) {
    return probabilities.argmax(-1);
  }
  return layers::CategoryAt(temperature == 1 ? probabilities : probabilities.pow(1 / temperature),
                            uniforms);
}

}  // namespace hidreamer::policy
