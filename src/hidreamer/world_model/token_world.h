#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "hidreamer/world_model/world.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {

// Each window's newest episode alone, in the order that WorldModel reads. Before its start the game
// is taken to have stood still: its first step again, with action 0.
//   codes (B, T, S) int64, S slots as TokenLayout orders them; actions (B, T - 1) int64
struct NewestEpisode {
  torch::Tensor codes, actions;
};
NewestEpisode ReadNewestEpisode(const Steps& steps);
// The other way round: windows of one episode each, whose slots are `codes`; actions (B, T - 1).
Steps StepsOfSlots(const TokenLayout& layout, const torch::Tensor& codes,
                   const torch::Tensor& actions, const ValuesOfCodes& values);

// Codes (N, P, L) -> (N, 1, 1, 1), zeros: for a world whose hidden states alone are asked for.
torch::Tensor NoValues(const torch::Tensor& codes);

// The text's hierarchical transformer as a world that learns online: one transformer position a
// code, reward and continue predicted behind the action. Any number of places, see TokenLayout.
//   codes, actions --> WorldModel --> hidden states --> next codes, coarse to fine
//                                     (those at the step's last codes of every level, at ACTION)
//                                         and values --> reward, continue
class TokenWorld : public World {
 public:
  explicit TokenWorld(const WorldOptions& options);

  // states (N, …), action_hidden (N, D) f32, actions (N) int64 -> (N, …)
  using OutcomesOf = std::function<Outcomes(
      const States& states, const torch::Tensor& action_hidden, const torch::Tensor& actions)>;
  // Of networks that a staged run has trained; sequences of at most `max_steps`. It is to be
  // observed and dreamed with alone. outcomes null: it predicts none.
  TokenWorld(WorldModel transformer, int64_t value_channels, int64_t context, int64_t max_steps,
             OutcomesOf outcomes = nullptr);

  // States of the codes: the quantized grid. Hidden: at the last place's code of every level, which
  // has the whole step behind it.
  int64_t codes_width() const override;
  int64_t hidden_width() const override;
  States Observe(const Steps& steps) override;
  // Of a window that crosses borders, the longest episode is predicted.
  Prediction Predict(const Steps& steps, int64_t from) override;
  std::unique_ptr<Rollout> Begin(const Steps& context, int64_t room, ValuesOfCodes values) override;
  // A window has as many times more positions than its last step as it has steps.
  int64_t followed_steps() const override { return options().max_steps - options().context; }
  std::vector<torch::Tensor> MuonMatrices() const override;  // of the transformer's blocks

 private:
  friend class TokenRollout;

  // hidden (N, S, D) at a step's codes -> (N, L D) at its last place's.
  torch::Tensor StateOf(const torch::Tensor& hidden) const;
  // By its own networks. They see the quantized grid, too: from the hidden states alone a rare
  // reward, such as a ball's that meets the paddle, is learned late.
  Outcomes OwnOutcomes(const States& states, const torch::Tensor& action_hidden);

  WorldModel transformer_{nullptr};
  OutcomesOf outcomes_of_;
  torch::nn::Linear outcome_{nullptr}, reward_{nullptr}, continue_{nullptr};
};

}  // namespace hidreamer::world_model
