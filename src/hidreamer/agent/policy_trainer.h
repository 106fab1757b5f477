#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/dreams.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/nn/optimizer.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/policy/normalizer.h"

namespace hidreamer::agent {

// Trains actor and critic on dreams that start from the replay (lambda-returns, percentile
// normalisation, two-hot critic with a slow copy; DreamerV3), or, as a baseline, on the newest real
// steps alone.
class PolicyTrainer {
 public:
  // `dreaming`: the networks that dream, which may be a copy of `models` one update behind. Actor
  // and critic are those of `models`, and are copied there.
  PolicyTrainer(AgentModels models, const config::AgentConfig& config, const SeedTree& seeds,
                nn::Precision precision, torch::Device device);

  // The entropy bonus has fallen to its last value at update `total`.
  // {"return", "dream_reward", "entropy", "actor_loss", "critic_loss", "value", …}
  nlohmann::json Update(AgentModels dreaming, const data::ReplayBuffer& replay, int64_t update,
                        int64_t total);

  nn::TensorMap State() const;  // optimizers and normaliser
  void LoadState(const nn::TensorMap& state);

 private:
  Dreams Imagine(AgentModels dreaming, const data::ReplayBuffer& replay, Rng& rng);
  Dreams RealSteps(AgentModels seeing, const data::ReplayBuffer& replay, Rng& rng);
  nlohmann::json Learn(const Dreams& dreams, double entropy_bonus);

  AgentModels models_;
  config::AgentConfig config_;
  SeedTree seeds_;
  nn::Precision precision_;
  torch::Device device_;
  std::unique_ptr<nn::Adam> actor_optimizer_;
  std::unique_ptr<nn::Adam> critic_optimizer_;
  policy::ReturnNormalizer normalizer_;
};

}  // namespace hidreamer::agent
