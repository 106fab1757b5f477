#include "hidreamer/agent/policy_trainer.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/agent/windows.h"
#include "hidreamer/base/part.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/returns.h"

namespace hidreamer::agent {
namespace {

constexpr int64_t kDreamsOfPart = 64;  // fewer cost more each, more leave threads waiting

world_model::Steps Read(AgentModels models, const ReplayReader& reader,
                        const std::vector<data::ReplayIndex>& starts, int64_t length) {
  return ReadWindows(models, reader.replay().Read(starts, length, /*frames=*/false),
                     reader.Frames(starts, length));
}

}  // namespace

PolicyTrainer::PolicyTrainer(AgentModels models, const config::AgentConfig& config,
                             const SeedTree& seeds, layers::Precision precision,
                             torch::Device device)
    : models_(std::move(models)),
      config_(config),
      seeds_(seeds),
      precision_(precision),
      device_(device),
      actor_optimizer_(training::NamedParameters(*models_->actor, "actor."),
                       training::AdamOptions{}),
      critic_optimizer_(training::NamedParameters(*models_->critic, "critic."),
                        training::AdamOptions{}),
      judge_([this](const training::GraphedWork::Tensors& inputs) { return Judge(inputs); }),
      actor_gradients_(
          [this](const training::GraphedWork::Tensors& inputs) { return ActorGradients(inputs); },
          actor_optimizer_.parameters()),
      critic_gradients_(
          [this](const training::GraphedWork::Tensors& inputs) { return CriticGradients(inputs); },
          critic_optimizer_.parameters()) {}

void PolicyTrainer::Begin(AgentModels dreaming, const ReplayReader& reader, int64_t update,
                          int64_t total) {
  const auto& config = config_.policy;
  Rng rng = seeds_.Generator("policy/update", static_cast<uint64_t>(update));
  dreaming_ = std::move(dreaming);
  reader_ = &reader;
  parts_.clear();
  begun_ = dreamed_ = 0;
  learners_begun_ = 0;
  judged_ = {};
  is_judged_ = judged_.get_future().share();
  failed_.clear();
  const auto [first, last] = std::pair(config.entropy, config.final_entropy);
  const double progress = static_cast<double>(update) / static_cast<double>(total);
  entropy_bonus_ = first > 0 ? first * std::pow(last / first, progress) : 0;
  const int64_t length = config.context + config.horizon;
  if (config.experience == "real") {
    // Windows of the newest steps: as many as there are states in a batch of dreams.
    const data::SampleOptions newest{.recent_share = 1,
                                     .recent_steps = config.batch * config.horizon};
    parts_.push_back({.starts = reader.replay().Sample(config.batch, length, newest, rng),
                      .rng = Rng(rng.Next())});
    return;
  }
  const auto starts = reader.replay().Sample(config.batch, length, SamplingOf(config_), rng);
  // A GPU dreams all at once.
  const int64_t count = device_.is_cuda() ? 1 : (config.batch + kDreamsOfPart - 1) / kDreamsOfPart;
  for (int64_t i = 0; i < count; ++i) {
    const hidreamer::Part share{i, count};
    parts_.push_back({.starts = {starts.begin() + share.Begin(config.batch),
                                 starts.begin() + share.End(config.batch)},
                      .rng = Rng(rng.Next())});
  }
}

void PolicyTrainer::Work(int threads) {
  const std::shared_future<void> is_judged = is_judged_;
  try {
    for (int64_t i = begun_++; i < parts(); i = begun_++) {
      Part& part = parts_[static_cast<size_t>(i)];
      part.dreams = config_.policy.experience == "dream" ? Imagine(part) : RealSteps(part);
      if (++dreamed_ == parts()) {
        JudgeDreams();
        judged_.set_value();
      }
    }
  } catch (...) {
    if (!failed_.test_and_set()) {
      judged_.set_exception(std::current_exception());
    }
  }
  is_judged.get();
  at::set_num_threads(threads);
  for (int i = learners_begun_++; i < 2; i = learners_begun_++) {
    i == 0 ? LearnActor() : LearnCritic();
  }
}

void PolicyTrainer::JudgeDreams() {
  const auto all = [&](torch::Tensor Dreams::*field) {
    std::vector<torch::Tensor> pieces;
    for (const Part& part : parts_) {
      pieces.push_back(part.dreams.*field);
    }
    return pieces.size() == 1 ? pieces.front() : torch::cat(pieces);
  };
  const Dreams dreams{.features = all(&Dreams::features),
                      .actions = all(&Dreams::actions),
                      .log_probs = all(&Dreams::log_probs),
                      .rewards = all(&Dreams::rewards),
                      .continues = all(&Dreams::continues),
                      .codes = {}};
  const int64_t horizon = dreams.actions.size(1);
  const auto judged = judge_.Run({dreams.features, dreams.rewards, dreams.continues});
  const torch::Tensor &values = judged[0], &returns = judged[1], &weights = judged[2];
  torch::NoGradGuard no_grad;
  normalizer_.Update(returns);
  auto advantages = returns - values.narrow(1, 0, horizon);
  if (config_.policy.normalize_returns) {
    advantages = advantages / normalizer_.Scale();
  }
  // A critic that lags behind would push every action the same way.
  advantages = advantages - (weights * advantages).sum() / weights.sum();
  lesson_ = {.features = dreams.features.narrow(1, 0, horizon),
             .actions = dreams.actions,
             .advantages = advantages,
             .weights = weights,
             .returns = returns,
             .log_probs = dreams.log_probs};
  policy::AddDreamFigures(dreams.rewards, values, dreams.continues, returns, dream_figures_);
  dream_figures_.Add("return_scale", normalizer_.Scale());
}

Dreams PolicyTrainer::Imagine(Part& part) {
  const auto& config = config_.policy;
  const layers::AutocastGuard autocast(device_, precision_);
  const auto context = Read(dreaming_, *reader_, part.starts, config.context);
  const DreamOptions options{.horizon = config.horizon, .temperature = config.temperature};
  const DreamDraws draws =
      DrawForDreams(dreaming_, std::ssize(part.starts), options, part.rng, device_);
  if (!device_.is_cuda()) {
    return DreamOn(dreaming_, context, options, draws);
  }
  if (!dream_) {
    dream_ = std::make_unique<training::GraphedWork>([this, dreaming = dreaming_, options](
                                                         const training::GraphedWork::Tensors& x)
                                                         -> training::GraphedWork::Tensors {
      const layers::AutocastGuard inner(device_, precision_);
      const Dreams dreams = DreamOn(dreaming,
                                    {.codes = x[0],
                                     .values = x[1],
                                     .previous_actions = x[2],
                                     .firsts = x[3],
                                     .actions = {},
                                     .rewards = {},
                                     .terminals = {}},
                                    options, {x[4], x.size() > 5 ? x[5] : torch::Tensor()});
      return {dreams.features, dreams.actions, dreams.log_probs, dreams.rewards, dreams.continues};
    });
  }
  training::GraphedWork::Tensors inputs = {context.codes, context.values, context.previous_actions,
                                           context.firsts, draws.actions};
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

Dreams PolicyTrainer::RealSteps(const Part& part) {
  const auto& config = config_.policy;
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(device_, precision_);
  const world_model::Steps steps =
      Read(dreaming_, *reader_, part.starts, config.context + config.horizon);
  const int64_t first = config.context - 1, h = config.horizon;
  Dreams real;
  real.features =
      dreaming_->Features(dreaming_->world_model->Observe(steps)).narrow(1, first, h + 1);
  real.actions = steps.actions.narrow(1, first, h);
  real.rewards = steps.rewards.narrow(1, first, h);
  // An episode ends where its step was terminal, or (cut off) where the next one begins anew.
  real.continues = 1 - steps.terminals.narrow(1, first, h)
                           .logical_or(steps.firsts.narrow(1, config.context, h))
                           .to(torch::kFloat32);
  real.log_probs = models_->Policy(real.features.narrow(1, 0, h)).LogProb(real.actions);
  return real;
}

training::GraphedWork::Tensors PolicyTrainer::Judge(const training::GraphedWork::Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const auto& config = config_.policy;
  const torch::Tensor &features = inputs[0], &rewards = inputs[1], &continues = inputs[2];
  const layers::AutocastGuard autocast(device_, precision_);
  const auto values =
      models_->scalars().Value(models_->slow_critic->forward(features).to(torch::kFloat32));
  return {values, policy::LambdaReturns(rewards, values, continues, config.gamma, config.lambda),
          policy::ContinueWeights(continues, config.gamma)};
}

training::GraphedWork::Tensors PolicyTrainer::ActorGradients(
    const training::GraphedWork::Tensors& inputs) {
  const auto& config = config_.policy;
  const policy::PolicyTargets targets{inputs[1], inputs[2], inputs[3]};
  torch::Tensor loss, entropy;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    const auto distribution = models_->Policy(inputs[0]);
    loss = config.algorithm == "ppo"
               ? policy::PpoLoss(distribution, targets, inputs[4], config.ppo_clip, inputs[5])
               : policy::ReinforceLoss(distribution, targets, inputs[5]);
    entropy = distribution.Entropy().mean();
  }
  loss.backward();
  return {loss, entropy};
}

training::GraphedWork::Tensors PolicyTrainer::CriticGradients(
    const training::GraphedWork::Tensors& inputs) {
  torch::Tensor loss;
  {
    const layers::AutocastGuard autocast(device_, precision_);
    const auto outputs = models_->critic->forward(inputs[0]).to(torch::kFloat32);
    loss = (inputs[1] * models_->scalars().Loss(outputs, inputs[2])).mean();
  }
  loss.backward();
  return {loss};
}

int64_t PolicyTrainer::passes() const {
  return config_.policy.algorithm == "ppo" ? config_.policy.passes : 1;
}

void PolicyTrainer::LearnActor() {
  const training::GraphedWork::Tensors inputs = {
      lesson_.features,
      lesson_.actions,
      lesson_.advantages,
      lesson_.weights,
      lesson_.log_probs,
      training::ToDevice(torch::tensor(entropy_bonus_, torch::kFloat32), device_)};
  training::GraphedWork::Tensors losses;
  torch::Tensor norm;
  for (int64_t pass = 0; pass < passes(); ++pass) {
    losses = actor_gradients_.Run(inputs);
    norm = training::ClipGradNorm(actor_optimizer_.parameters(), config_.policy.clip_norm);
    training::RequireFinite("actor_loss", losses[0]);
    training::RequireFinite("actor_grad_norm", norm);
    actor_optimizer_.Step(config_.policy.lr);
  }
  actor_figures_.Add("actor_loss", losses[0]);
  actor_figures_.Add("entropy", losses[1]);
  actor_figures_.Add("actor_grad_norm", norm);
}

void PolicyTrainer::LearnCritic() {
  training::GraphedWork::Tensors losses;
  torch::Tensor norm;
  for (int64_t pass = 0; pass < passes(); ++pass) {
    losses = critic_gradients_.Run({lesson_.features, lesson_.weights, lesson_.returns});
    norm = training::ClipGradNorm(critic_optimizer_.parameters(), config_.policy.clip_norm);
    training::RequireFinite("critic_loss", losses[0]);
    training::RequireFinite("critic_grad_norm", norm);
    critic_optimizer_.Step(config_.policy.lr);
  }
  training::MoveTowards(*models_->slow_critic, *models_->critic, config_.policy.slow_tau);
  critic_figures_.Add("critic_loss", losses[0]);
  critic_figures_.Add("critic_grad_norm", norm);
}

training::Figures PolicyTrainer::Finish() {
  parts_.clear();
  lesson_ = {};
  training::Figures figures;
  for (training::Figures* const some : {&dream_figures_, &actor_figures_, &critic_figures_}) {
    figures.Add(std::exchange(*some, {}));
  }
  return figures;
}

formats::TensorMap PolicyTrainer::State() const {
  formats::TensorMap state;
  formats::InsertWithPrefix(state, actor_optimizer_.State(), "actor.");
  formats::InsertWithPrefix(state, critic_optimizer_.State(), "critic.");
  formats::InsertWithPrefix(state, normalizer_.State(), "normalizer.");
  return state;
}

void PolicyTrainer::LoadState(const formats::TensorMap& state) {
  actor_optimizer_.LoadState(formats::WithoutPrefix(state, "actor."));
  critic_optimizer_.LoadState(formats::WithoutPrefix(state, "critic."));
  normalizer_.LoadState(formats::WithoutPrefix(state, "normalizer."));
}

}  // namespace hidreamer::agent
