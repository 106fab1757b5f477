#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/dreams.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/nn/graphed_work.h"
#include "hidreamer/nn/optimizer.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/policy/normalizer.h"

namespace hidreamer::agent {

// Trains actor and critic on dreams that start from the replay (lambda-returns, percentile
// normalisation, two-hot critic with a slow copy; DreamerV3), or, as a baseline, on the newest real
// steps alone.
class PolicyTrainer {
 public:
  // Actor and critic are those of `models`.
  PolicyTrainer(AgentModels models, const config::AgentConfig& config, const SeedTree& seeds,
                nn::Precision precision, torch::Device device);

  // `dreaming`: the networks that dream, the same at every update; they may be a copy of `models`
  // one update behind. The entropy bonus has fallen to its last value at update `total`.
  // {"return", "dream_reward", "entropy", "actor_loss", "critic_loss", "value", …}
  nn::Figures Update(AgentModels dreaming, const ReplayReader& reader, int64_t update,
                     int64_t total);

  nn::TensorMap State() const;  // optimizers and normaliser
  void LoadState(const nn::TensorMap& state);

 private:
  Dreams Imagine(AgentModels dreaming, const ReplayReader& reader, Rng& rng);
  Dreams RealSteps(AgentModels seeing, const ReplayReader& reader, Rng& rng);
  // features (B, H + 1, F), rewards, continues (B, H) -> values (B, H + 1), returns, weights (B,
  // H).
  nn::GraphedWork::Tensors Judge(const nn::GraphedWork::Tensors& inputs);
  // features (B, H, F), actions, advantages, weights, returns, log_probs (B, H), entropy bonus ()
  // -> losses of actor and critic, entropy (); backward.
  nn::GraphedWork::Tensors Gradients(const nn::GraphedWork::Tensors& inputs);
  nn::Figures Learn(const Dreams& dreams, double entropy_bonus);

  AgentModels models_;
  config::AgentConfig config_;
  SeedTree seeds_;
  nn::Precision precision_;
  torch::Device device_;
  nn::Adam actor_optimizer_;
  nn::Adam critic_optimizer_;
  policy::ReturnNormalizer normalizer_;
  std::unique_ptr<nn::GraphedWork> dream_;  // by the networks of the first update
  nn::GraphedWork judge_;
  nn::GraphedWork gradients_;
};

}  // namespace hidreamer::agent
