#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <utility>

#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/training/graphed_work.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// A batch of rollouts inside the world model. State h is where action h was chosen; the last state
// is the one to bootstrap from. Nothing carries a gradient.
struct Dream {
  torch::Tensor tokens;     // (B, H + 1, L) int64; step 0 is real
  torch::Tensor states;     // (B, H + 1, F), StateFeatures::State
  torch::Tensor outcomes;   // (B, H, G), StateFeatures::Outcome
  torch::Tensor actions;    // (B, H) int64
  torch::Tensor log_probs;  // (B, H) of the actions under the policy that chose them
  torch::Tensor rewards;    // (B, H) predicted, plain units
  torch::Tensor continues;  // (B, H) predicted, in [0, 1]
};

// Dreams with an actor on one preallocated KV cache:
//   real context --> state 0 --actor--> action --world model--> reward, continue, state 1 --> …
// Reward and continue are predicted from the state together with the action chosen in it.
class Dreamer {
 public:
  // capacity: steps of context and horizon together, at most the model's max_steps.
  // precision: of products, the world model's and the policy's.
  Dreamer(world_model::WorldModel model, StateFeatures features, int64_t batch, int64_t capacity,
          layers::Precision precision = layers::Precision::kF32);
  Dreamer(const Dreamer&) = delete;  // its recorded work points to it
  Dreamer& operator=(const Dreamer&) = delete;

  // context_tokens (B, C, L), context_actions (B, C - 1), int64. Codes and actions are drawn from
  // generators seeded by `seed`, on the CPU for all devices. On a GPU the third dream of a
  // context's length by one policy is recorded as a graph (GraphedWork).
  Dream Roll(policy::PolicyModel policy, const torch::Tensor& context_tokens,
             const torch::Tensor& context_actions, int64_t horizon, uint64_t seed);

  const StateFeatures& features() const { return features_; }

 private:
  // inputs: context tokens and actions, draws for the codes (H, L, B) and the actions (H, B).
  // Returns the tensors of a Dream, in its order.
  training::GraphedWork::Tensors Compute(const training::GraphedWork::Tensors& inputs);

  world_model::WorldModel model_;
  StateFeatures features_;
  layers::Precision precision_;
  world_model::Decoder decoder_;
  policy::PolicyModel policy_{nullptr};  // of works_
  // By the shape of a dream: steps of context, horizon.
  std::map<std::pair<int64_t, int64_t>, training::GraphedWork> works_;
};

}  // namespace hidreamer::imagination
