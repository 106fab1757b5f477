#include "hidreamer/agent/policy_trainer.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/agent/windows.h"
#include "hidreamer/nn/figures.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/returns.h"

namespace hidreamer::agent {
namespace {

Windows Read(AgentModels models, const ReplayReader& reader,
             const std::vector<data::ReplayIndex>& starts, int64_t length) {
  return ReadWindows(models, reader.replay().Read(starts, length, /*frames=*/false),
                     reader.Frames(starts, length));
}

std::vector<nn::NamedParameter> ActorAndCritic(AgentModels& models) {
  auto both = nn::NamedParameters(*models->actor, "actor.");
  const auto critic = nn::NamedParameters(*models->critic, "critic.");
  both.insert(both.end(), critic.begin(), critic.end());
  return both;
}

}  // namespace

PolicyTrainer::PolicyTrainer(AgentModels models, const config::AgentConfig& config,
                             const SeedTree& seeds, nn::Precision precision, torch::Device device)
    : models_(std::move(models)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device),
      actor_optimizer_(nn::NamedParameters(*models_->actor, "actor."), nn::AdamOptions{}),
      critic_optimizer_(nn::NamedParameters(*models_->critic, "critic."), nn::AdamOptions{}),
      judge_([this](const nn::GraphedWork::Tensors& inputs) { return Judge(inputs); }),
      gradients_([this](const nn::GraphedWork::Tensors& inputs) { return Gradients(inputs); },
                 ActorAndCritic(models_)) {}

nn::Figures PolicyTrainer::Update(AgentModels dreaming, const ReplayReader& reader, int64_t update,
                                  int64_t total) {
  Rng rng = seeds_.Generator("policy/update", static_cast<uint64_t>(update));
  const auto [first, last] = std::pair(config_.policy.entropy, config_.policy.final_entropy);
  const double progress = static_cast<double>(update) / static_cast<double>(total);
  const double entropy = first > 0 ? first * std::pow(last / first, progress) : 0;
  return Learn(config_.policy.experience == "dream" ? Imagine(dreaming, reader, rng)
                                                    : RealSteps(dreaming, reader, rng),
               entropy);
}

Dreams PolicyTrainer::Imagine(AgentModels dreaming, const ReplayReader& reader, Rng& rng) {
  const auto& config = config_.policy;
  const auto starts = reader.replay().Sample(config.batch, config.context + config.horizon,
                                             {.recent_share = config_.replay.recent_share,
                                              .recent_steps = config_.replay.recent_steps,
                                              .near_reward_share = config_.replay.near_reward_share,
                                              .horizon = config.horizon},
                                             rng);
  const nn::AutocastGuard autocast(device_, precision_);
  const auto context = Read(dreaming, reader, starts, config.context).inputs;
  const DreamOptions options{.horizon = config.horizon, .temperature = config.temperature};
  const DreamDraws draws = DrawForDreams(dreaming, config.batch, options, rng, device_);
  if (!dream_) {
    dream_ = std::make_unique<nn::GraphedWork>([this, dreaming,
                                                options](const nn::GraphedWork::Tensors& x)
                                                   -> nn::GraphedWork::Tensors {
      const nn::AutocastGuard inner(device_, precision_);
      const Dreams dreams = DreamOn(dreaming, {x[0], x[1], x[2]}, options,
                                    {x[3], x.size() > 4 ? x[4] : torch::Tensor()});
      return {dreams.features, dreams.actions, dreams.log_probs, dreams.rewards, dreams.continues};
    });
  }
  nn::GraphedWork::Tensors inputs = {context.values, context.previous_actions, context.first,
                                     draws.actions};
  if (draws.codes.defined()) {
    inputs.push_back(draws.codes);
  }
  const auto dreamed = dream_->Run(inputs);
  return {.features = dreamed[0],
          .actions = dreamed[1],
          .log_probs = dreamed[2],
          .rewards = dreamed[3],
          .continues = dreamed[4],
          .codes = {}};
}

Dreams PolicyTrainer::RealSteps(AgentModels seeing, const ReplayReader& reader, Rng& rng) {
  const auto& config = config_.policy;
  // Windows of the newest steps: as many as there are states in a batch of dreams.
  const int64_t length = config.context + config.horizon;
  const auto starts = reader.replay().Sample(
      config.batch, length, {.recent_share = 1, .recent_steps = config.batch * config.horizon},
      rng);
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard autocast(device_, precision_);
  const Windows windows = Read(seeing, reader, starts, length);
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

nn::GraphedWork::Tensors PolicyTrainer::Judge(const nn::GraphedWork::Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const auto& config = config_.policy;
  const torch::Tensor &features = inputs[0], &rewards = inputs[1], &continues = inputs[2];
  const nn::AutocastGuard autocast(device_, precision_);
  const auto values =
      models_->scalars().Value(models_->slow_critic->forward(features).to(torch::kFloat32));
  return {values, policy::LambdaReturns(rewards, values, continues, config.gamma, config.lambda),
          policy::ContinueWeights(continues, config.gamma)};
}

nn::GraphedWork::Tensors PolicyTrainer::Gradients(const nn::GraphedWork::Tensors& inputs) {
  const auto& config = config_.policy;
  const policy::PolicyTargets targets{inputs[1], inputs[2], inputs[3]};
  const torch::Tensor &features = inputs[0], &returns = inputs[4], &log_probs = inputs[5],
                      &entropy_bonus = inputs[6];
  torch::Tensor actor_loss, critic_loss, entropy;
  {
    const nn::AutocastGuard autocast(device_, precision_);
    const auto distribution = models_->Policy(features);
    actor_loss =
        config.algorithm == "ppo"
            ? policy::PpoLoss(distribution, targets, log_probs, config.ppo_clip, entropy_bonus)
            : policy::ReinforceLoss(distribution, targets, entropy_bonus);
    entropy = distribution.Entropy().mean();
    const auto outputs = models_->critic->forward(features).to(torch::kFloat32);
    critic_loss = (targets.weights * models_->scalars().Loss(outputs, returns)).mean();
  }
  (actor_loss + critic_loss).backward();
  return {actor_loss, critic_loss, entropy};
}

nn::Figures PolicyTrainer::Learn(const Dreams& dreams, double entropy_bonus) {
  const auto& config = config_.policy;
  const int64_t horizon = dreams.actions.size(1);
  const auto judged = judge_.Run({dreams.features, dreams.rewards, dreams.continues});
  const torch::Tensor &values = judged[0], &returns = judged[1], &weights = judged[2];
  torch::Tensor advantages;
  {
    torch::NoGradGuard no_grad;
    normalizer_.Update(returns);
    advantages = returns - values.narrow(1, 0, horizon);
    if (config.normalize_returns) {
      advantages = advantages / normalizer_.Scale();
    }
    // A critic that lags behind would push every action the same way.
    advantages = advantages - (weights * advantages).sum() / weights.sum();
  }
  const nn::GraphedWork::Tensors inputs = {
      dreams.features.narrow(1, 0, horizon),
      dreams.actions,
      advantages,
      weights,
      returns,
      dreams.log_probs,
      nn::ToDevice(torch::tensor(entropy_bonus, torch::kFloat32), device_)};
  nn::GraphedWork::Tensors losses;
  torch::Tensor norm;
  for (int64_t pass = 0; pass < (config.algorithm == "ppo" ? config.passes : 1); ++pass) {
    losses = gradients_.Run(inputs);
    norm = nn::ClipGradNorm(actor_optimizer_.parameters(), config.clip_norm);
    nn::ClipGradNorm(critic_optimizer_.parameters(), config.clip_norm);
    actor_optimizer_.Step(config.lr);
    critic_optimizer_.Step(config.lr);
  }
  nn::MoveTowards(*models_->slow_critic, *models_->critic, config.slow_tau);
  nn::Figures figures;
  policy::AddDreamFigures(dreams.rewards, values, dreams.continues, returns, figures);
  figures.Add("return_scale", normalizer_.Scale());
  figures.Add("entropy", losses[2]);
  figures.Add("actor_loss", losses[0]);
  figures.Add("critic_loss", losses[1]);
  figures.Add("actor_grad_norm", norm);
  return figures;
}

nn::TensorMap PolicyTrainer::State() const {
  nn::TensorMap state;
  nn::InsertWithPrefix(state, actor_optimizer_.State(), "actor.");
  nn::InsertWithPrefix(state, critic_optimizer_.State(), "critic.");
  nn::InsertWithPrefix(state, normalizer_.State(), "normalizer.");
  return state;
}

void PolicyTrainer::LoadState(const nn::TensorMap& state) {
  actor_optimizer_.LoadState(nn::WithoutPrefix(state, "actor."));
  critic_optimizer_.LoadState(nn::WithoutPrefix(state, "critic."));
  normalizer_.LoadState(nn::WithoutPrefix(state, "normalizer."));
}

}  // namespace hidreamer::agent
