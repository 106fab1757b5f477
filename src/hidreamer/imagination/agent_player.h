#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/encoder/encoder.h"
#include "hidreamer/env/player.h"
#include "hidreamer/imagination/state_features.h"
#include "hidreamer/policy/policy_model.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/world_model/decoder.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::imagination {

// The networks that a game is played with.
struct PolicyParts {
  encoder::Encoder encoder{nullptr};
  tokenizer::ResidualQuantizer quantizer{nullptr};
  world_model::WorldModel world_model{nullptr};
  policy::PolicyModel policy{nullptr};
};
// From a run directory: RUN/{encoder,tokenizer,world_model,policy/GAME}/model.safetensors; where
// RUN/policy/GAME/world_model.safetensors exists (joint training) that is the world model. Throws a
// user Error where one is missing or they do not fit together.
PolicyParts LoadPolicyParts(const std::filesystem::path& run, const std::string& game);

struct AgentPlayerOptions {
  double temperature = 1;  // of the actions, see policy::ChooseActions
};

// Plays real games with a trained policy, several side by side.
//   stacks (4,84,84) --> encoder --> quantizer --> codes --> world model's cache --> feature -->
//   actor
// The cache of a game holds at most context + horizon steps, as in training: when it is full, the
// last `context` steps are read again. All games with that many steps behind them are filled again
// together every `horizon` steps and share one cache; a game that has just begun has its own until
// then.
class AgentPlayer : public env::Player {
 public:
  // Throws a user Error where the parts do not fit together.
  explicit AgentPlayer(const PolicyParts& parts, AgentPlayerOptions options = {},
                       torch::Device device = torch::kCPU);

  std::vector<int> Act(const std::vector<env::PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "agent"; }

  // The states' features chosen from in the last Act, (n, F).
  const torch::Tensor& last_states() const { return last_states_; }

 private:
  struct Slot {
    std::vector<torch::Tensor> tokens;              // each (L), at most `context` of them
    std::vector<int64_t> actions;                   // of the same steps
    std::unique_ptr<world_model::Decoder> decoder;  // its own; null: row `row` of the shared one
    int64_t row = -1;
    int64_t last_call = -1;
  };

  torch::Tensor Codes(const std::vector<env::PlayerView>& views);  // (n, L)
  // Takes the codes in; hidden states at them, (n, L, D).
  torch::Tensor PushStates(const std::vector<env::PlayerView>& views, const torch::Tensor& codes);
  void PushActions(const std::vector<env::PlayerView>& views, const std::vector<int>& actions);
  // Fills the shared cache from the last `context` steps of the games that have as many.
  void Refill(const std::vector<env::PlayerView>& views, std::vector<torch::Tensor>& hidden);

  encoder::Encoder encoder_;
  tokenizer::ResidualQuantizer quantizer_;
  world_model::WorldModel world_model_;
  policy::PolicyModel policy_;
  StateFeatures features_;
  AgentPlayerOptions options_;
  torch::Device device_;
  int64_t calls_ = 0;
  std::map<int, Slot> slots_;
  std::unique_ptr<world_model::Decoder> shared_;
  torch::Tensor last_states_;
};

std::unique_ptr<AgentPlayer> LoadAgentPlayer(const std::filesystem::path& run,
                                             const std::string& game,
                                             const AgentPlayerOptions& options = {},
                                             torch::Device device = torch::kCPU);

}  // namespace hidreamer::imagination
