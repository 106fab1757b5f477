#pragma once

#include <torch/torch.h>

#include "hidreamer/imagination/open_loop.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// Advances a batch of dreams one step at a time: push the action, then choose and push the next
// step's codes, coarse to fine. Gradients are off.
//   real steps --Start--> [state] --Advance(action)--> [state] --Advance(action)--> …
class CodeRoller {
 public:
  // `decoder` is used and reset; both outlive the roller.
  CodeRoller(world_model::WorldModel model, world_model::Decoder& decoder,
             const CodeSampling& sampling);

  // tokens (B, T, L), actions (B, T-1): the last step is the first state.
  void Start(const torch::Tensor& tokens, const torch::Tensor& actions);
  // Plays actions (B) int64 in the current state. Returns the hidden state at the ACTION, (B, D).
  // uniforms: draws in [0, 1) that choose the codes, (L, B); undefined: from the generator.
  torch::Tensor Advance(const torch::Tensor& actions, const torch::Tensor& uniforms = {});

  const torch::Tensor& tokens() const { return tokens_; }  // (B, L) of the current state
  const torch::Tensor& hidden() const { return hidden_; }  // (B, L, D) at its codes

 private:
  torch::Tensor ChooseCode(int64_t level, const torch::Tensor& hidden,
                           const torch::Tensor& uniforms);

  world_model::WorldModel model_;
  world_model::Decoder& decoder_;
  CodeSampling sampling_;
  at::Generator generator_;
  torch::Tensor tokens_;
  torch::Tensor hidden_;
};

}  // namespace hidreamer::imagination
