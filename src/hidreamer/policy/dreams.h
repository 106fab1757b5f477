#pragma once

#include <torch/torch.h>

namespace hidreamer::policy {

// Steps of B dreams, or of real play taken for dreams, none with a gradient. State h is where
// action h was chosen; the last state is the one to bootstrap from.
struct Dreams {
  torch::Tensor states;     // (B, H + 1, F) what the actor saw
  torch::Tensor actions;    // (B, H) int64
  torch::Tensor log_probs;  // (B, H) of the actions under the policy that chose them
  torch::Tensor rewards;    // (B, H) plain units
  torch::Tensor continues;  // (B, H) in [0, 1]
};

}  // namespace hidreamer::policy
