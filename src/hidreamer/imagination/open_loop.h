#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// How the world model's codes are chosen.
struct CodeSampling {
  double temperature = 1;  // logits are divided by it; 0: the likeliest code
  uint64_t seed = 0;       // of the draws
};

struct OpenLoopOutput {
  torch::Tensor tokens;  // (B, H, L) int64, codes of steps T .. T+H-1
  torch::Tensor hidden;  // (B, H, L, D) at the positions of these codes
};

// The world model runs on by itself under given actions, from real context steps.
//   context_tokens (B, T, L) int64; actions (B, T+H-1) int64, column t is the action of step t
// T + H must not exceed the model's max_steps. Without gradient.
OpenLoopOutput DreamUnderActions(world_model::WorldModel model, const torch::Tensor& context_tokens,
                                 const torch::Tensor& actions, int64_t horizon,
                                 const CodeSampling& sampling = {});

}  // namespace hidreamer::imagination
