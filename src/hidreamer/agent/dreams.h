#pragma once

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/nn/precision.h"

namespace hidreamer::agent {

// Imagined steps of a batch of B dreams, none with a gradient.
struct Dreams {
  torch::Tensor features;   // (B, H + 1, F) what the actor saw
  torch::Tensor actions;    // (B, H) int64
  torch::Tensor log_probs;  // (B, H) of the actions
  torch::Tensor rewards;    // (B, H) plain units
  torch::Tensor continues;  // (B, H) in [0, 1]
  torch::Tensor codes;      // (B, H, P, L) int64; only where asked for
};

struct DreamOptions {
  int64_t horizon = 15;
  double temperature = 1;  // of the codes; 0: the likeliest
  bool keep_codes = false;
  torch::Tensor actions = {};  // (B, H) int64: these instead of the actor's
};

// Dreams on from the last step of each window. Every draw comes from `rng`.
Dreams DreamOn(AgentModels models, const world_model::StepInputs& context,
               const DreamOptions& options, Rng& rng);

// n uniform numbers in [0, 1) of `rng`, as a tensor of the given shape.
torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng, torch::Device device);

}  // namespace hidreamer::agent
