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

torch::Tensor CategoryAt(const torch::Tensor& probabilities, const torch::Tensor& uniforms) {
  const auto cumulative = probabilities.to(torch::kFloat64).cumsum(-1);  // (..., V)
  const auto total = cumulative.select(-1, cumulative.size(-1) - 1);     // (...)
  const auto threshold = (uniforms.to(torch::kFloat64) * total).unsqueeze(-1);
  return (cumulative <= threshold).sum(-1).clamp_max(cumulative.size(-1) - 1);
}

torch::Tensor SampleCategory(const torch::Tensor& probabilities, at::Generator generator) {
  auto shape = probabilities.sizes().vec();
  shape.pop_back();
  const auto uniforms = torch::rand(shape, std::move(generator), torch::kFloat64);
  return CategoryAt(probabilities, uniforms.to(probabilities.device()));
}

}  // namespace hidreamer::policy
