#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <utility>

#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/dreams.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

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
  // context's length by one policy is recorded as a graph (CapturedGraph).
  // The codes of the dreams are (B, H + 1, L); step 0 is real.
  policy::Dreams Roll(policy::PolicyModel policy, const torch::Tensor& context_tokens,
                      const torch::Tensor& context_actions, int64_t horizon, uint64_t seed);

  const StateFeatures& features() const { return features_; }

 private:
  // inputs: context tokens and actions, draws for the codes (H, L, B) and the actions (H, B).
  // Returns the tensors of Dreams, in its order.
  training::CapturedGraph::Tensors Compute(const training::CapturedGraph::Tensors& inputs);

  world_model::WorldModel model_;
  StateFeatures features_;
  layers::Precision precision_;
  world_model::Decoder decoder_;
  policy::PolicyModel policy_{nullptr};  // of works_
  // By the shape of a dream: steps of context, horizon.
  std::map<std::pair<int64_t, int64_t>, training::CapturedGraph> works_;
};

}  // namespace hidreamer::imagination
