#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/imagination/dreams.h"
#include "hidreamer/imagination/replay_windows.h"
#include "hidreamer/imagination/staged_agent.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/actor_critic_learner.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/training/learner.h"
#include "hidreamer/training/metrics.h"
#include "hidreamer/training/optimizer.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// Learns to play one game inside the world model.
//   updates 0 … head_updates - 1   reward and continue heads on real windows
//   then                           a batch of dreams from real contexts --> lambda-returns -->
//   actor
//                                  and critic; one small dose for the heads; where the world model
//                                  is not frozen, one small dose for it
// The heads' loss is the plain mean over all recorded windows: half of the drawn windows hold a
// reward or an end, and their weight is divided by how much too often they are drawn.
class PolicyLearner : public training::Learner {
 public:
  // Contents are shared; with world_model_frozen false the given world model is trained. codebooks
  // (L, V, Dq). Throws a user Error where context + horizon do not fit into the world model.
  // precision: of products in dreams and in the world model's states of real windows; the networks
  // learn in f32.
  PolicyLearner(tokenizer::TokenizedGame game, world_model::WorldModel world_model,
                torch::Tensor codebooks, const config::PolicyConfig& config,
                const config::SplitConfig& split, const SeedTree& seeds,
                torch::Device device = torch::kCPU,
                layers::Precision precision = layers::Precision::kF32);
  // Its replay windows point into its game.
  PolicyLearner(const PolicyLearner&) = delete;
  PolicyLearner& operator=(const PolicyLearner&) = delete;

  std::string name() const override { return "policy"; }
  int64_t total_updates() const override { return config_.head_updates + config_.updates; }
  int64_t updates_per_epoch() const override { return updates_per_epoch_; }
  // Heads: {"reward_loss", "continue_loss", "head_grad_norm"}. Dreams: those and
  // policy::ActorCriticLearner's.
  training::Metrics Update(int64_t update) override;
  formats::TensorMap BatchOf(int64_t update) override;
  // Reward and end prediction on held-out episodes: {"reward_f1", "end_f1", "reward_loss", …}.
  nlohmann::json EndEpoch(int64_t epoch) override;
  // "model." the networks; "optimizer.NAME."; "state." the world model, where it is trained.
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  policy::PolicyModel model() const { return model_; }
  world_model::WorldModel world_model() const { return world_model_; }
  // For model.safetensors.
  std::map<std::string, std::string> Metadata() const;

 private:
  WeighedSteps DrawForHeads(int64_t update) const;
  world_model::Steps DrawContexts(int64_t update) const;
  void UpdateHeads(int64_t update, training::Metrics& metrics);
  void UpdateActorCritic(int64_t update, training::Metrics& metrics);
  void UpdateWorldModel(int64_t update, training::Metrics& metrics);

  tokenizer::TokenizedGame game_;
  world_model::WorldModel world_model_;
  config::PolicyConfig config_;
  SeedTree seeds_;
  torch::Device device_;
  layers::Precision precision_;
  StateFeatures features_;
  int64_t updates_per_epoch_;
  std::unique_ptr<ReplayWindows> train_;
  std::unique_ptr<ReplayWindows> validation_;
  policy::PolicyModel model_{nullptr};
  std::unique_ptr<StagedDreamer> dreamer_;
  std::unique_ptr<DreamLoop> dreams_;
  std::unique_ptr<training::Adam> head_optimizer_;
  std::unique_ptr<policy::ActorCriticLearner> actor_critic_;
  std::unique_ptr<training::Adam> world_model_optimizer_;  // null while frozen
};

}  // namespace hidreamer::imagination
