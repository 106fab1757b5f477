#include "hidreamer/policy/actor_critic_learner.h"

#include <cmath>
#include <utility>
#include <vector>

#include "hidreamer/config/policy_config.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/returns.h"
#include "hidreamer/training/device.h"

namespace hidreamer::policy {
namespace {

std::vector<training::NamedParameter> ActorParameters(ActorCritic& networks) {
  auto parameters = training::NamedParameters(*networks.actor, "actor.");
  const auto append = [&](torch::nn::Module& module, const std::string& prefix) {
    const auto more = training::NamedParameters(module, prefix);
    parameters.insert(parameters.end(), more.begin(), more.end());
  };
  if (networks.extractor) {
    append(*networks.extractor, "extractor.");
  }
  if (networks.cpc) {
    append(*networks.cpc, "cpc.");
  }
  return parameters;
}

}  // namespace

ActorCriticLearnerOptions LearnerOptions(const config::PolicyConfig& config) {
  return {.algorithm = config.algorithm,
          .passes = config.ppo_epochs,
          .ppo_clip = config.ppo_clip,
          .gamma = config.gamma,
          .lambda = config.lambda,
          .entropy = config.entropy,
          .final_entropy = config.final_entropy,
          .normalize_returns = config.normalize_returns,
          .normalizer_decay = config.normalizer_decay,
          .center_advantages = config.center_advantages,
          .lr = config.lr,
          .clip_norm = config.clip_norm,
          .slow_tau = config.slow_tau,
          .cpc_scale = config.cpc_scale};
}

ActorCriticLearner::ActorCriticLearner(std::shared_ptr<ActorCritic> networks,
                                       const ActorCriticLearnerOptions& options,
                                       layers::Precision precision, torch::Device device)
    : networks_(std::move(networks)),
      options_(options),
      precision_(precision),
      device_(device),
      actor_optimizer_(ActorParameters(*networks_), training::AdamOptions{}),
      critic_optimizer_(training::NamedParameters(*networks_->critic, "critic."),
                        training::AdamOptions{}),
      normalizer_({.decay = options.normalizer_decay}),
      targets_([this](const Tensors& inputs) { return Targets(inputs); }),
      actor_gradients_([this](const Tensors& inputs) { return ActorGradients(inputs); },
                       actor_optimizer_.parameters()),
      critic_gradients_([this](const Tensors& inputs) { return CriticGradients(inputs); },
                        critic_optimizer_.parameters()) {}

void ActorCriticLearner::ComputeTargets(const Dreams& dreams, double progress) {
  const int64_t horizon = dreams.actions.size(1);
  const auto targets = targets_.Run({dreams.states, dreams.rewards, dreams.continues});
  const torch::Tensor &values = targets[0], &returns = targets[1], &weights = targets[2];
  torch::NoGradGuard no_grad;
  normalizer_.Update(returns);
  auto advantages = returns - values.narrow(1, 0, horizon);
  if (options_.normalize_returns) {
    advantages = advantages / normalizer_.Scale();
  }
  if (options_.center_advantages) {
    advantages = advantages - (weights * advantages).sum() / weights.sum();
  }
  const auto [first, last] = std::pair(options_.entropy, options_.final_entropy);
  batch_ = {.states = dreams.states.narrow(1, 0, horizon),
            .actions = dreams.actions,
            .advantages = advantages,
            .weights = weights,
            .returns = returns,
            .log_probs = dreams.log_probs,
            .entropy_bonus = first > 0 ? first * std::pow(last / first, progress) : 0};
  AddDreamMetrics(dreams.rewards, values, dreams.continues, returns, dream_metrics_);
  dream_metrics_.Add("return_scale", normalizer_.Scale());
}

ActorCriticLearner::Tensors ActorCriticLearner::Targets(const Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const torch::Tensor &states = inputs[0], &rewards = inputs[1], &continues = inputs[2];
  const layers::AutocastGuard autocast(device_, precision_);
  const auto values = networks_->SlowValues(states);
  return {values, LambdaReturns(rewards, values, continues, options_.gamma, options_.lambda),
          ContinueWeights(continues, options_.gamma)};
}

ActorCriticLearner::Tensors ActorCriticLearner::ActorGradients(const Tensors& inputs) {
  const PolicyTargets targets{inputs[1], inputs[2], inputs[3]};
  torch::Tensor total, loss, entropy, cpc_loss;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    const auto features = networks_->Extract(inputs[0]);
    const auto distribution = networks_->PolicyOf(features);
    total = loss = options_.algorithm == "ppo"
                       ? PpoLoss(distribution, targets, inputs[4], options_.ppo_clip, inputs[5])
                       : ReinforceLoss(distribution, targets, inputs[5]);
    entropy = distribution.Entropy().mean();
    if (networks_->cpc && options_.cpc_scale > 0 &&
        features.size(1) > networks_->cpc->options().steps) {
      cpc_loss = networks_->cpc->forward(features, targets.actions);
      total = total + options_.cpc_scale * cpc_loss;
    }
  }
  total.backward();
  Tensors results = {loss, entropy};
  if (cpc_loss.defined()) {
    results.push_back(cpc_loss);
  }
  return results;
}

ActorCriticLearner::Tensors ActorCriticLearner::CriticGradients(const Tensors& inputs) {
  torch::Tensor loss;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    // The critic reads the features without shaping them.
    const auto outputs =
        networks_->critic->forward(networks_->Extract(inputs[0]).detach()).to(torch::kFloat32);
    loss = (inputs[1] * networks_->scalars().Loss(outputs, inputs[2])).mean();
  }
  loss.backward();
  return {loss};
}

void ActorCriticLearner::LearnActor() {
  const Tensors inputs = {
      batch_.states,
      batch_.actions,
      batch_.advantages,
      batch_.weights,
      batch_.log_probs,
      training::ToDevice(torch::tensor(batch_.entropy_bonus, torch::kFloat32), device_)};
  Tensors losses;
  torch::Tensor norm;
  for (int64_t pass = 0; pass < passes(); ++pass) {
    losses = actor_gradients_.Run(inputs);
    norm = training::ClipGradNorm(actor_optimizer_.parameters(), options_.clip_norm);
    training::RequireFinite("actor_loss", losses[0]);
    training::RequireFinite("actor_grad_norm", norm);
    actor_optimizer_.Step(options_.lr);
  }
  actor_metrics_.Add("actor_loss", losses[0]);
  actor_metrics_.Add("entropy", losses[1]);
  if (losses.size() > 2) {
    actor_metrics_.Add("cpc_loss", losses[2]);
  }
  actor_metrics_.Add("actor_grad_norm", norm);
}

void ActorCriticLearner::LearnCritic() {
  Tensors losses;
  torch::Tensor norm;
  for (int64_t pass = 0; pass < passes(); ++pass) {
    losses = critic_gradients_.Run({batch_.states, batch_.weights, batch_.returns});
    norm = training::ClipGradNorm(critic_optimizer_.parameters(), options_.clip_norm);
    training::RequireFinite("critic_loss", losses[0]);
    training::RequireFinite("critic_grad_norm", norm);
    critic_optimizer_.Step(options_.lr);
  }
  training::MoveTowards(*networks_->slow_critic, *networks_->critic, options_.slow_tau);
  critic_metrics_.Add("critic_loss", losses[0]);
  critic_metrics_.Add("critic_grad_norm", norm);
}

training::Metrics ActorCriticLearner::Finish() {
  batch_ = {};
  training::Metrics metrics;
  for (training::Metrics* const some : {&dream_metrics_, &actor_metrics_, &critic_metrics_}) {
    metrics.Add(std::exchange(*some, {}));
  }
  return metrics;
}

formats::TensorMap ActorCriticLearner::State() const {
  formats::TensorMap state;
  formats::InsertWithPrefix(state, actor_optimizer_.State(), "actor.");
  formats::InsertWithPrefix(state, critic_optimizer_.State(), "critic.");
  formats::InsertWithPrefix(state, normalizer_.State(), "normalizer.");
  return state;
}

void ActorCriticLearner::LoadState(const formats::TensorMap& state) {
  actor_optimizer_.LoadState(formats::WithoutPrefix(state, "actor."));
  critic_optimizer_.LoadState(formats::WithoutPrefix(state, "critic."));
  normalizer_.LoadState(formats::WithoutPrefix(state, "normalizer."));
}

}  // namespace hidreamer::policy
