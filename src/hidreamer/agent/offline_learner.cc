#include "hidreamer/agent/offline_learner.h"

#include <fmt/format.h>

#include <algorithm>

#include "hidreamer/env/registry.h"
#include "hidreamer/training/device.h"

namespace hidreamer::agent {
namespace {

SeedTree SeedsOf(const config::Config& config) {
  return SeedTree(static_cast<uint64_t>(config.seed)).Subtree("offline/" + config.game);
}

}  // namespace

void CheckHoldsAgentAndReplay(const std::filesystem::path& run, const config::Config& config) {
  LoadAgentModels(run);
  data::ReplayBuffer(ReplayOf(config)).SizesIn(run / "replay");
}

OfflineLearner::OfflineLearner(const std::filesystem::path& run, const config::Config& config,
                               const OfflineOptions& options, layers::Precision precision)
    : config_(config),
      options_(options),
      device_(training::UseDevice(config.device)),
      threads_(at::get_num_threads()),
      replay_(ReplayOf(config)),
      reader_(replay_, device_),
      score_(config, SeedsOf(config), threads_) {
  const SeedTree seeds = SeedsOf(config);
  const formats::TensorMap trained = formats::NamedState(*LoadAgentModels(run));
  const auto game = env::MakeEnvironment(config.game, config.collect.protocol);
  AgentOptions built = OptionsOf(config, game->num_actions());
  built.precision = layers::PrecisionName(precision);
  torch::manual_seed(seeds.Stream("init"));
  models_ = AgentModels(built);
  const bool new_world = options.anew && !learns_policy();
  formats::LoadNamedState(*models_->tokenizer, trained, "tokenizer.");
  if (!new_world) {
    formats::LoadNamedState(*models_->world_model, trained, "world_model.");
  }
  if (!options.anew) {
    formats::LoadNamedState(*models_->actor, trained, "actor.");
    formats::LoadNamedState(*models_->critic, trained, "critic.");
    formats::LoadNamedState(*models_->slow_critic, trained, "slow_critic.");
  }
  models_->to(device_);
  models_->eval();
  const auto directory = run / "replay";
  replay_.Load(directory, replay_.SizesIn(directory));
  reader_.Reload();
  if (learns_policy()) {
    policy_trainer_ = std::make_unique<PolicyTrainer>(models_, config, seeds, precision, device_);
  } else {
    model_learner_ = std::make_unique<ModelLearner>(models_, config, seeds, precision, device_);
  }
}

int64_t OfflineLearner::updates_per_epoch() const {
  return std::max<int64_t>(
      1, (options_.updates + config_.evaluation.times - 1) / config_.evaluation.times);
}

training::Metrics OfflineLearner::Update(int64_t update) {
  if (!learns_policy()) {
    return model_learner_->UpdateWorldModel(reader_, update, options_.updates);
  }
  policy_trainer_->Begin(models_, reader_, update, options_.updates);
  // Every thread dreams on its own, then the two networks learn side by side.
  const int64_t helpers =
      device_.is_cuda() ? 0 : std::min<int64_t>(threads_, policy_trainer_->parts()) - 1;
  const int to_learn = std::max(1, threads_ / 2);
  auto dreamers = policy_trainer_->StartWorkers(helpers, to_learn);
  at::set_num_threads(helpers > 0 ? 1 : threads_);
  policy_trainer_->Work(helpers > 0 ? to_learn : threads_);
  for (auto& dreamer : dreamers) {
    dreamer.get();
  }
  at::set_num_threads(threads_);
  return policy_trainer_->Finish();
}

formats::TensorMap OfflineLearner::BatchOf(int64_t update) {
  return learns_policy() ? formats::TensorMap() : model_learner_->BatchOf(reader_, update);
}

nlohmann::json OfflineLearner::EndEpoch(int64_t epoch) {
  if (!learns_policy()) {
    return nlohmann::json::object();
  }
  return score_.Measure(
      models_, epoch,
      fmt::format("{} updates", std::min((epoch + 1) * updates_per_epoch(), options_.updates)));
}

formats::TensorMap OfflineLearner::State() const {
  formats::TensorMap state = formats::NamedState(*models_, "model.");
  formats::InsertWithPrefix(
      state, learns_policy() ? policy_trainer_->State() : model_learner_->State(), "optimizer.");
  return state;
}

void OfflineLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*models_, state, "model.");
  const auto own = formats::WithoutPrefix(state, "optimizer.");
  learns_policy() ? policy_trainer_->LoadState(own) : model_learner_->LoadState(own);
}

}  // namespace hidreamer::agent
