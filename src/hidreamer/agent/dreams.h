#pragma once

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/policy/dreams.h"

namespace hidreamer::agent {

// Numbers uniform in [0, 1), f32, on the CPU; they follow from the next draw of `rng`.
torch::Tensor Uniforms(at::IntArrayRef shape, Rng& rng);

struct DreamOptions {
  int64_t horizon = 15;
  double temperature = 1;      // of the codes; 0: the likeliest
  bool keep_codes = false;     // Dreams::codes (B, H, P, L)
  torch::Tensor actions = {};  // (B, H) int64: these instead of the actor's
};

// What a batch of dreams draws with: numbers uniform in [0, 1).
struct DreamDraws {
  torch::Tensor actions;  // (H, B); undefined where the actions are given
  torch::Tensor codes;    // (H, B, P, L); undefined at temperature 0
};
DreamDraws DrawForDreams(AgentModels models, int64_t batch, const DreamOptions& options, Rng& rng,
                         torch::Device device);

// Dreams on from the last step of each window.
policy::Dreams DreamOn(AgentModels models, const world_model::Steps& context,
                       const DreamOptions& options, const DreamDraws& draws);
policy::Dreams DreamOn(AgentModels models, const world_model::Steps& context,
                       const DreamOptions& options, Rng& rng);

}  // namespace hidreamer::agent
