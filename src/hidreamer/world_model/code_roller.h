#pragma once

#include <torch/torch.h>

#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {

// Advances a batch of dreams one step at a time: push the action, then choose and push the next
// step's codes, coarse to fine. Gradients are off.
//   real steps --Start--> [state] --Advance(action)--> [state] --Advance(action)--> …
class CodeRoller {
 public:
  // `decoder` is used and reset; both outlive the roller.
  // changed_weight: what codes that differ from the step before weighed in the loss, as DrawCodes'.
  CodeRoller(WorldModel model, Decoder& decoder, double changed_weight = 1);

  // tokens (B, T, S), actions (B, T-1): the last step is the first state.
  void Start(const torch::Tensor& tokens, const torch::Tensor& actions);
  // Plays actions (B) int64 in the current state. Returns the hidden state at the ACTION, (B, D).
  // The codes are drawn with uniforms (S, B) in [0, 1); temperature 0: the likeliest, without.
  torch::Tensor Advance(const torch::Tensor& actions, double temperature,
                        const torch::Tensor& uniforms = {});

  const torch::Tensor& tokens() const { return tokens_; }  // (B, S) of the current state
  const torch::Tensor& hidden() const { return hidden_; }  // (B, S, D) at its codes

 private:
  WorldModel model_;
  Decoder& decoder_;
  double changed_weight_;
  torch::Tensor tokens_;
  torch::Tensor hidden_;
};

}  // namespace hidreamer::world_model
