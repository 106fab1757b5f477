#pragma once

#include <torch/torch.h>

#include <string>

#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// What the networks are shown of a state, and of a state with the action chosen in it.
//   "hidden"  the hidden states at L0 … L(L-1) side by side (L D); with the action: and that at
//             ACTION ((L + 1) D)
//   "codes"   the codewords of the L codes side by side (L Dq); with the action: and its one-hot
//             vector (L Dq + A)
class StateFeatures {
 public:
  // codebooks (L, V, Dq), needed for "codes" alone. Throws a user Error for another kind.
  StateFeatures(const std::string& kind, const world_model::WorldModelOptions& world_model,
                torch::Tensor codebooks = {});

  const std::string& kind() const { return kind_; }
  bool needs_hidden() const { return kind_ == "hidden"; }
  int64_t state_width() const;    // F
  int64_t outcome_width() const;  // G

  // hidden (..., L, D) (unused for "codes"), codes (..., L) int64 -> (..., F)
  torch::Tensor State(const torch::Tensor& hidden, const torch::Tensor& codes) const;
  // state (..., F), action_hidden (..., D) (unused for "codes"), actions (...) int64 -> (..., G)
  torch::Tensor Outcome(const torch::Tensor& state, const torch::Tensor& action_hidden,
                        const torch::Tensor& actions) const;

 private:
  std::string kind_;
  world_model::WorldModelOptions world_model_;
  torch::Tensor codebooks_;
};

// The codebooks of all levels, (L, V, Dq), detached.
torch::Tensor Codebooks(const tokenizer::ResidualQuantizer& quantizer);

// Features of real windows through one forward pass: tokens (B, T, L), actions (B, T).
struct WindowFeatures {
  torch::Tensor states;    // (B, T, F)
  torch::Tensor outcomes;  // (B, T, G)
};
WindowFeatures FeaturesOfWindows(world_model::WorldModel model, const StateFeatures& features,
                                 const torch::Tensor& tokens, const torch::Tensor& actions);

}  // namespace hidreamer::imagination
