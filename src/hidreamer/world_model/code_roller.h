#pragma once

#include <torch/torch.h>

#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {

// How the next codes are chosen.
struct CodeChoice {
  double temperature = 1;  // logits are divided by it; 0: the likeliest
  // What codes that differ from the step before weighed in the loss; draws take that back.
  double changed_weight = 1;
};

// Advances a batch of dreams one step at a time: push the action, then choose and push the next
// step's codes, coarse to fine. Gradients are off.
//   real steps --Start--> [state] --Advance(action)--> [state] --Advance(action)--> …
class CodeRoller {
 public:
  // `decoder` is used and reset; both outlive the roller.
  CodeRoller(WorldModel model, Decoder& decoder, const CodeChoice& choice);

  // tokens (B, T, S), actions (B, T-1): the last step is the first state.
  void Start(const torch::Tensor& tokens, const torch::Tensor& actions);
  // Plays actions (B) int64 in the current state. Returns the hidden state at the ACTION, (B, D).
  // uniforms (S, B) in [0, 1): choose the codes; not looked at where temperature is 0.
  torch::Tensor Advance(const torch::Tensor& actions, const torch::Tensor& uniforms = {});

  void SetChoice(const CodeChoice& choice) { choice_ = choice; }
  const torch::Tensor& tokens() const { return tokens_; }  // (B, S) of the current state
  const torch::Tensor& hidden() const { return hidden_; }  // (B, S, D) at its codes

 private:
  WorldModel model_;
  Decoder& decoder_;
  CodeChoice choice_;
  torch::Tensor tokens_;
  torch::Tensor hidden_;
};

}  // namespace hidreamer::world_model
