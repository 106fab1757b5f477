#include "hidreamer/agent/policy_trainer.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/agent/windows.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/returns.h"

namespace hidreamer::agent {
PolicyTrainer::PolicyTrainer(AgentModels models, const config::AgentConfig& config,
                             const SeedTree& seeds, nn::Precision precision, torch::Device device)
    : models_(std::move(models)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device) {
  actor_optimizer_ =
      std::make_unique<nn::Adam>(nn::NamedParameters(*models_->actor, "actor."), nn::AdamOptions{});
  critic_optimizer_ = std::make_unique<nn::Adam>(nn::NamedParameters(*models_->critic, "critic."),
                                                 nn::AdamOptions{});
}

nlohmann::json PolicyTrainer::Update(AgentModels dreaming, const data::ReplayBuffer& replay,
                                     int64_t update, int64_t total) {
  Rng rng = seeds_.Generator("policy/update", static_cast<uint64_t>(update));
  const auto [first, last] = std::pair(config_.policy.entropy, config_.policy.final_entropy);
  const double progress = static_cast<double>(update) / static_cast<double>(total);
  const double entropy = first > 0 ? first * std::pow(last / first, progress) : 0;
  return Learn(config_.policy.experience == "dream" ? Imagine(dreaming, replay, rng)
                                                    : RealSteps(dreaming, replay, rng),
               entropy);
}

Dreams PolicyTrainer::Imagine(AgentModels dreaming, const data::ReplayBuffer& replay, Rng& rng) {
  const auto& config = config_.policy;
  const auto starts = replay.Sample(config.batch, config.context + config.horizon,
                                    {.recent_share = config_.replay.recent_share,
                                     .recent_steps = config_.replay.recent_steps,
                                     .near_reward_share = config_.replay.near_reward_share,
                                     .horizon = config.horizon},
                                    rng);
  const nn::AutocastGuard autocast(device_, precision_);
  const auto context = ReadWindows(dreaming, replay.Read(starts, config.context), device_).inputs;
  return DreamOn(dreaming, context, {.horizon = config.horizon, .temperature = config.temperature},
                 rng);
}

Dreams PolicyTrainer::RealSteps(AgentModels seeing, const data::ReplayBuffer& replay, Rng& rng) {
  const auto& config = config_.policy;
  // Windows of the newest steps: as many as there are states in a batch of dreams.
  const int64_t length = config.context + config.horizon;
  const auto starts =
      replay.Sample(config.batch, length,
                    {.recent_share = 1, .recent_steps = config.batch * config.horizon}, rng);
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard autocast(device_, precision_);
  const Windows windows = ReadWindows(seeing, replay.Read(starts, length), device_);
  const auto states = seeing->world_model->Observe(windows.inputs);
  const auto last = [&](const torch::Tensor& x, int64_t count) {
    return x.narrow(1, config.context - 1, count);
  };
  const int64_t h = config.horizon;
  Dreams real;
  real.features = seeing
                      ->Features({last(windows.inputs.values, h + 1).flatten(0, 1),
                                  last(states.hidden, h + 1).flatten(0, 1),
                                  last(states.local, h + 1).flatten(0, 1)})
                      .view({windows.batch(), h + 1, -1});
  real.actions = last(windows.actions, h);
  real.rewards = last(windows.rewards, h);
  // An episode ends where its step was terminal, or (cut off) where the next one begins anew.
  real.continues = 1 - last(windows.terminals, h)
                           .logical_or(windows.inputs.first.narrow(1, config.context, h))
                           .to(torch::kFloat32);
  real.log_probs = models_->Policy(real.features.narrow(1, 0, h)).LogProb(real.actions);
  return real;
}

nlohmann::json PolicyTrainer::Learn(const Dreams& dreams, double entropy_bonus) {
  const auto& config = config_.policy;
  const auto& scalars = models_->scalars();
  const int64_t horizon = dreams.actions.size(1);
  torch::Tensor values, returns, weights, advantages;
  {
    torch::NoGradGuard no_grad;
    const nn::AutocastGuard autocast(device_, precision_);
    values = scalars.Value(models_->slow_critic->forward(dreams.features).to(torch::kFloat32));
    returns = policy::LambdaReturns(dreams.rewards, values, dreams.continues, config.gamma,
                                    config.lambda);  // (B, H)
    weights = policy::ContinueWeights(dreams.continues, config.gamma);
    normalizer_.Update(returns);
    const double scale = config.normalize_returns ? normalizer_.Scale() : 1.0;
    advantages = (returns - values.narrow(1, 0, horizon)) / scale;
    // A critic that lags behind would push every action the same way.
    advantages = advantages - (weights * advantages).sum() / weights.sum();
  }
  const policy::PolicyTargets targets{dreams.actions, advantages, weights};
  const auto features = dreams.features.narrow(1, 0, horizon);
  const bool ppo = config.algorithm == "ppo";
  torch::Tensor actor_loss, critic_loss, entropy, norm;
  for (int64_t pass = 0; pass < (ppo ? config.passes : 1); ++pass) {
    {
      const nn::AutocastGuard autocast(device_, precision_);
      const auto distribution = models_->Policy(features);
      actor_loss = ppo ? policy::PpoLoss(distribution, targets, dreams.log_probs, config.ppo_clip,
                                         entropy_bonus)
                       : policy::ReinforceLoss(distribution, targets, entropy_bonus);
      entropy = distribution.Entropy().detach().mean();
      const auto outputs = models_->critic->forward(features).to(torch::kFloat32);
      critic_loss = (weights * scalars.Loss(outputs, returns)).mean();
    }
    actor_optimizer_->ZeroGrad();
    critic_optimizer_->ZeroGrad();
    (actor_loss + critic_loss).backward();
    norm = nn::ClipGradNorm(actor_optimizer_->parameters(), config.clip_norm);
    nn::ClipGradNorm(critic_optimizer_->parameters(), config.clip_norm);
    actor_optimizer_->Step(config.lr);
    critic_optimizer_->Step(config.lr);
  }
  nn::MoveTowards(*models_->slow_critic, *models_->critic, config.slow_tau);
  return {{"return", returns.mean().item<double>()},
          {"dream_reward", dreams.rewards.sum(1).mean().item<double>()},
          {"rewarding_dreams",
           (dreams.rewards.abs() > 0.5).any(1).to(torch::kFloat32).mean().item<double>()},
          {"continue", dreams.continues.mean().item<double>()},
          {"value", values.mean().item<double>()},
          {"return_scale", normalizer_.Scale()},
          {"entropy", entropy.item<double>()},
          {"actor_loss", actor_loss.item<double>()},
          {"critic_loss", critic_loss.item<double>()},
          {"actor_grad_norm", norm.item<double>()}};
}

nn::TensorMap PolicyTrainer::State() const {
  nn::TensorMap state;
  nn::InsertWithPrefix(state, actor_optimizer_->State(), "actor.");
  nn::InsertWithPrefix(state, critic_optimizer_->State(), "critic.");
  nn::InsertWithPrefix(state, normalizer_.State(), "normalizer.");
  return state;
}

void PolicyTrainer::LoadState(const nn::TensorMap& state) {
  actor_optimizer_->LoadState(nn::WithoutPrefix(state, "actor."));
  critic_optimizer_->LoadState(nn::WithoutPrefix(state, "critic."));
  normalizer_.LoadState(nn::WithoutPrefix(state, "normalizer."));
}

}  // namespace hidreamer::agent
