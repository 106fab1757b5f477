#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/windows.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/nn/optimizer.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/policy/ac_cpc.h"

namespace hidreamer::agent {

// Trains tokenizer and world model on windows of the replay. The tokenizer learns to draw the
// frames; the world model foretells its codes, reward and end. No gradient passes between the two,
// so that codes do not collapse into what is easy to foretell. The world model of `models`, which
// dreams and plays, is a moving average of the one that learns.
class ModelLearner {
 public:
  ModelLearner(AgentModels models, const config::AgentConfig& config, const SeedTree& seeds,
               nn::Precision precision, torch::Device device);

  // Background and codebooks from the first frames.
  void Start(const data::ReplayBuffer& replay);
  // One update of the tokenizer alone.
  nlohmann::json UpdateTokenizer(const data::ReplayBuffer& replay, int64_t update);
  // One update of the tokenizer, then the world model's steps on the minibatches of one batch of
  // windows. The learning rates have fallen to their last value at update `total`.
  nlohmann::json Update(const data::ReplayBuffer& replay, int64_t update, int64_t total);

  nn::TensorMap State() const;  // the learning world model, optimizers, the contrastive head
  void LoadState(const nn::TensorMap& state);

 private:
  // The loss of one batch of frames and those before them, backward and step.
  nlohmann::json StepTokenizer(const torch::Tensor& frames, const torch::Tensor& previous,
                               int64_t update, double lr);
  // The loss of some windows, backward and step; `share` of the full learning rates.
  nlohmann::json StepWorldModel(const Windows& windows, double share);

  AgentModels models_;
  config::AgentConfig config_;
  SeedTree seeds_;
  nn::Precision precision_;
  torch::Device device_;
  world_model::StepModel learning_{nullptr};
  policy::AcCpc cpc_{nullptr};
  std::unique_ptr<nn::Adam> tokenizer_optimizer_;
  std::unique_ptr<nn::MuonWithAdam> model_optimizer_;  // of the contrastive head too
};

}  // namespace hidreamer::agent
