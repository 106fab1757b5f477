#include "hidreamer/policy/actor_critic.h"

#include "hidreamer/training/optimizer.h"

namespace hidreamer::policy {

void ActorCritic::Build(const ActorCriticOptions& options) {
  unimix_ = options.unimix;
  if (options.extractor) {
    extractor = register_module("extractor", FeatureExtractor(options.features, options.features));
  }
  const auto head = [&](const std::string& name, int64_t outputs) {
    MlpHead made(options.features, options.hidden_width, outputs);
    made->ZeroOutput();
    return register_module(name, made);
  };
  actor = head("actor", options.actions);
  critic = head("critic", scalars_.outputs());
  slow_critic = head("slow_critic", scalars_.outputs());
  training::MoveTowards(*slow_critic, *critic, 1);
  for (auto& parameter : slow_critic->parameters()) {
    parameter.set_requires_grad(false);
  }
  if (options.cpc_width > 0) {
    cpc = register_module("cpc", AcCpc(AcCpcOptions{.feature_width = options.features,
                                                    .width = options.cpc_width,
                                                    .steps = options.cpc_steps,
                                                    .actions = options.actions}));
  }
}

torch::Tensor ActorCritic::Extract(const torch::Tensor& states) {
  return extractor ? extractor->forward(states) : states;
}

ActionDistribution ActorCritic::PolicyOf(const torch::Tensor& features) {
  return {actor->forward(features).to(torch::kFloat32), unimix_};
}

ActionDistribution ActorCritic::Policy(const torch::Tensor& states) {
  return PolicyOf(Extract(states));
}

torch::Tensor ActorCritic::Values(const torch::Tensor& states) {
  return scalars_.Value(critic->forward(Extract(states)).to(torch::kFloat32));
}

torch::Tensor ActorCritic::SlowValues(const torch::Tensor& states) {
  return scalars_.Value(slow_critic->forward(Extract(states)).to(torch::kFloat32));
}

}  // namespace hidreamer::policy
