#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "hidreamer/policy/ac_cpc.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/policy/networks.h"
#include "hidreamer/policy/two_hot.h"

namespace hidreamer::policy {

struct ActorCriticOptions {
  int64_t features = 0;        // F, of a state
  int64_t hidden_width = 256;  // of actor and critics
  int64_t actions = 0;         // A
  double unimix = 0.01;        // share of the uniform distribution in the actor
  bool extractor = false;      // a layer before actor and critics, trained by the actor's loss
  int64_t cpc_width = 0, cpc_steps = 3;  // of a contrastive loss on its output; 0: none
};

// The networks that act, a part of whatever else a model holds.
//   state (..., F) --> [extractor] --> actor (..., A), critic, slow critic
// State names extractor., actor., critic., slow_critic., cpc.
class ActorCritic : public torch::nn::Module {
 public:
  const ScalarCoding& scalars() const { return scalars_; }
  // What actor and critics read, (..., F) -> (..., F).
  torch::Tensor Extract(const torch::Tensor& states);
  ActionDistribution Policy(const torch::Tensor& states);  // (..., F)
  torch::Tensor Values(const torch::Tensor& states);       // (..., F) -> (...) plain units
  // By the slow critic, a moving average that is never trained.
  torch::Tensor SlowValues(const torch::Tensor& states);

  // The same of states that Extract has read.
  ActionDistribution PolicyOf(const torch::Tensor& features);

  FeatureExtractor extractor{nullptr};
  MlpHead actor{nullptr};
  MlpHead critic{nullptr};
  MlpHead slow_critic{nullptr};
  AcCpc cpc{nullptr};

 protected:
  // scalars: the coding of values, "two_hot" | "symlog_mse".
  explicit ActorCritic(const std::string& scalars) : scalars_(ScalarCoding::FromName(scalars)) {}
  // Registers the networks: an actor that starts uniform, critics that start at 0.
  void Build(const ActorCriticOptions& options);

 private:
  ScalarCoding scalars_;
  double unimix_ = 0;
};

}  // namespace hidreamer::policy
