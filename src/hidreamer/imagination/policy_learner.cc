#include "hidreamer/imagination/policy_learner.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/data/left_out.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/imagination/outcome_metrics.h"
#include "hidreamer/training/device.h"
#include "hidreamer/world_model/loss.h"

namespace hidreamer::imagination {
namespace {

constexpr double kEventfulShare = 0.5;  // of the windows for the heads
constexpr int64_t kHeadDose = 8;        // while dreaming the heads see 1/8 of the batch
constexpr double kWorldModelRate = 1e-4;
constexpr int64_t kEpochs = 20;  // validations over the whole training
constexpr int64_t kValidationWindows = 256;

void Append(std::vector<training::NamedParameter>& to,
            const std::vector<training::NamedParameter>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

PolicyLearner::PolicyLearner(tokenizer::TokenizedGame game, world_model::WorldModel world_model,
                             torch::Tensor codebooks, const config::PolicyConfig& config,
                             const config::SplitConfig& split, const SeedTree& seeds,
                             torch::Device device, layers::Precision precision)
    : game_(std::move(game)),
      world_model_(std::move(world_model)),
      config_(config),
      seeds_(seeds.Subtree(game_.game)),
      device_(device),
      precision_(precision),
      features_(config.features, world_model_->options(), codebooks.to(device)) {
  const auto& world = world_model_->options();
  const int64_t steps = config.context + config.horizon;
  if (steps > world.max_steps) {
    throw UserError("shorten policy.context or policy.horizon",
                    "context {} and horizon {} are more than the world model's {} steps",
                    config.context, config.horizon, world.max_steps);
  }
  if (game_.num_actions > world.layout.actions || game_.tokens.size(1) != world.layout.levels) {
    throw UserError("train the world model on this game's tokens",
                    "{} does not fit the world model: {} actions of {}, {} levels of {}",
                    game_.game, game_.num_actions, world.layout.actions, game_.tokens.size(1),
                    world.layout.levels);
  }
  // The same episodes as every other stage holds out of this game.
  const auto parts = data::SplitEpisodes(game_.episodes, split.validation, seeds_);
  train_ = std::make_unique<ReplayWindows>(game_, parts.train);
  validation_ = std::make_unique<ReplayWindows>(game_, parts.validation);
  data::NoteLeftOut("policy", game_.game, parts.train, std::min(steps, train_->longest()));
  updates_per_epoch_ = std::max<int64_t>(1, (total_updates() + kEpochs - 1) / kEpochs);

  torch::manual_seed(seeds_.Stream("policy/init"));
  model_ =
      policy::PolicyModel(policy::PolicyModelOptions{.game = game_.game,
                                                     .feature = config.features,
                                                     .scalars = config.critic,
                                                     .feature_width = features_.state_width(),
                                                     .outcome_width = features_.outcome_width(),
                                                     .hidden_width = config.hidden_width,
                                                     .actions = game_.num_actions,
                                                     .cpc_width = config.cpc_width,
                                                     .cpc_steps = config.cpc_steps,
                                                     .unimix = config.unimix,
                                                     .context = config.context,
                                                     .horizon = config.horizon});
  model_->to(device_);
  world_model_->to(device_);
  world_model_->eval();
  dreamer_ = std::make_unique<StagedDreamer>(world_model_, model_, codebooks.to(device_));
  dreams_ = std::make_unique<DreamLoop>(*dreamer_, DreamOptions{.horizon = config.horizon},
                                        precision, device_);

  auto heads = training::NamedParameters(*model_->reward, "reward.");
  Append(heads, training::NamedParameters(*model_->continues, "continue."));
  head_optimizer_ = std::make_unique<training::Adam>(heads, training::AdamOptions{});
  // The networks learn in f32.
  actor_critic_ = std::make_unique<policy::ActorCriticLearner>(
      model_.ptr(), policy::LearnerOptions(config), layers::Precision::kF32, device_);
  if (!config.world_model_frozen) {
    world_model_optimizer_ = std::make_unique<training::Adam>(
        training::NamedParameters(*world_model_),
        training::AdamOptions{.beta2 = 0.95, .weight_decay = 0.1, .decoupled = true});
  }
}

training::Metrics PolicyLearner::Update(int64_t update) {
  training::Metrics metrics;
  if (update < config_.head_updates) {
    UpdateHeads(update, metrics);
    return metrics;
  }
  UpdateActorCritic(update, metrics);
  UpdateHeads(update, metrics);
  if (world_model_optimizer_) {
    UpdateWorldModel(update, metrics);
  }
  return metrics;
}

WeighedSteps PolicyLearner::DrawForHeads(int64_t update) const {
  auto rng = seeds_.Generator("policy/heads", static_cast<uint64_t>(update));
  const int64_t length = std::min(config_.context + config_.horizon, train_->longest());
  const int64_t batch = update < config_.head_updates
                            ? config_.batch
                            : std::max<int64_t>(1, config_.batch / kHeadDose);
  return train_->Draw(batch, length, kEventfulShare, rng);
}

world_model::Steps PolicyLearner::DrawContexts(int64_t update) const {
  auto rng = seeds_.Generator("policy/contexts", static_cast<uint64_t>(update));
  return train_->DrawContexts(config_.batch, config_.context, config_.horizon,
                              config_.seed_near_reward, rng);
}

formats::TensorMap PolicyLearner::BatchOf(int64_t update) {
  formats::TensorMap tensors;
  const auto add = [&](const world_model::Steps& steps, const std::string& prefix) {
    formats::InsertWithPrefix(tensors,
                              {{"tokens", steps.codes.squeeze(2)},
                               {"actions", steps.actions},
                               {"rewards", steps.rewards},
                               {"terminals", steps.terminals}},
                              prefix);
  };
  const WeighedSteps heads = DrawForHeads(update);
  add(heads.steps, "heads.");
  tensors["heads.weights"] = heads.weights;
  if (update >= config_.head_updates) {
    add(DrawContexts(update), "dreams.");
  }
  return tensors;
}

void PolicyLearner::UpdateHeads(int64_t update, training::Metrics& metrics) {
  const WeighedSteps windows = DrawForHeads(update);
  const world_model::Steps steps = windows.steps.To(device_);
  const auto shown = [&] {
    const layers::AutocastGuard autocast(device_, precision_);
    return FeaturesOfWindows(world_model_, features_, steps.codes.squeeze(2), steps.actions);
  }();
  const auto weights = training::ToDevice(windows.weights, device_).unsqueeze(1);  // (B, 1)
  const auto reward_loss =
      (weights * model_->scalars().Loss(model_->reward->forward(shown.outcomes), steps.rewards))
          .mean();
  const auto continue_loss = (weights * torch::binary_cross_entropy_with_logits(
                                            model_->continues->forward(shown.outcomes).squeeze(-1),
                                            steps.terminals.logical_not().to(torch::kFloat32), {},
                                            {}, at::Reduction::None))
                                 .mean();
  head_optimizer_->ZeroGrad();
  (reward_loss + continue_loss).backward();
  metrics.Add("reward_loss", reward_loss);
  metrics.Add("continue_loss", continue_loss);
  metrics.Add("head_grad_norm",
              training::ClipGradNorm(head_optimizer_->parameters(), config_.clip_norm));
  head_optimizer_->Step(config_.lr);
}

void PolicyLearner::UpdateActorCritic(int64_t update, training::Metrics& metrics) {
  world_model::Steps context = DrawContexts(update).To(device_);
  context.values =
      dreamer_->ValuesOfCodes()(context.codes.flatten(0, 1)).unflatten(0, context.actions.sizes());
  Rng rng = seeds_.Generator("policy/dream", static_cast<uint64_t>(update));
  const auto dream = dreams_->Run(
      context, DrawForDreams(*dreamer_, config_.batch, {.horizon = config_.horizon}, rng, device_));
  actor_critic_->ComputeTargets(dream, static_cast<double>(update - config_.head_updates) /
                                           static_cast<double>(config_.updates));
  actor_critic_->LearnActor();
  actor_critic_->LearnCritic();
  metrics.Add(actor_critic_->Finish());
}

void PolicyLearner::UpdateWorldModel(int64_t update, training::Metrics& metrics) {
  const auto index = static_cast<uint64_t>(update);
  auto rng = seeds_.Generator("policy/world_model", index);
  const int64_t length = std::min(world_model_->options().max_steps, train_->longest());
  const auto steps = train_->Draw(std::max<int64_t>(1, config_.batch / kHeadDose), length, 0, rng)
                         .steps.To(device_);
  torch::manual_seed(seeds_.Stream("policy/world_model_dropout", index));
  world_model_->train();
  const auto tokens = steps.codes.squeeze(2);
  const auto logits = world_model_->Predict(tokens, steps.actions);
  // The text's weights 1, 0.5, 0.1; finer levels keep the last.
  std::vector<double> level_weights = {1.0, 0.5};
  level_weights.resize(logits.size(), 0.1);
  const auto loss = world_model::ComputeLoss(logits, tokens, level_weights).total;
  world_model_optimizer_->ZeroGrad();
  loss.backward();
  metrics.Add("world_model_loss", loss);
  metrics.Add("world_model_grad_norm",
              training::ClipGradNorm(world_model_optimizer_->parameters(), config_.clip_norm));
  world_model_optimizer_->Step(kWorldModelRate);
  world_model_->eval();
}

nlohmann::json PolicyLearner::EndEpoch(int64_t epoch) {
  const int64_t length = std::min(config_.context + config_.horizon, validation_->longest());
  auto starts = validation_->Starts(length);
  if (starts.empty()) {
    return nlohmann::json::object();
  }
  // Evenly spaced over the held-out episodes, the same ones each time.
  (void)epoch;
  const auto count = std::min<size_t>(starts.size(), kValidationWindows);
  std::vector<int64_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    chosen.push_back(starts[i * starts.size() / count]);
  }
  const auto scores = ScoreHeads(model_, world_model_, features_, *validation_, chosen);
  nlohmann::json log = {{"reward_error", scores.reward_error},
                        {"rewards", scores.all_rewards.positives},
                        {"ends", scores.end.positives}};
  if (const auto f1 = scores.all_rewards.F1()) {
    log["reward_f1"] = *f1;
  }
  if (const auto f1 = scores.end.F1()) {
    log["end_f1"] = *f1;
  }
  return log;
}

formats::TensorMap PolicyLearner::State() const {
  formats::TensorMap state = formats::NamedState(*model_, "model.");
  formats::InsertWithPrefix(state, head_optimizer_->State(), "optimizer.heads.");
  formats::InsertWithPrefix(state, actor_critic_->State(), "optimizer.");
  if (world_model_optimizer_) {
    formats::InsertWithPrefix(state, world_model_optimizer_->State(), "optimizer.world_model.");
    formats::InsertWithPrefix(state, formats::NamedState(*world_model_), "state.world_model.");
  }
  return state;
}

void PolicyLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*model_, state, "model.");
  head_optimizer_->LoadState(formats::WithoutPrefix(state, "optimizer.heads."));
  formats::TensorMap actor_critic = formats::WithoutPrefix(state, "optimizer.");
  // Where checkpoints of older versions have it.
  formats::InsertWithPrefix(actor_critic, formats::WithoutPrefix(state, "state.normalizer."),
                            "normalizer.");
  actor_critic_->LoadState(actor_critic);
  if (world_model_optimizer_) {
    formats::LoadNamedState(*world_model_, state, "state.world_model.");
    world_model_optimizer_->LoadState(formats::WithoutPrefix(state, "optimizer.world_model."));
  }
}

std::map<std::string, std::string> PolicyLearner::Metadata() const {
  return {{"options", model_->options().ToJson()}};
}

}  // namespace hidreamer::imagination
