#pragma once

#include <memory>

#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/agent.h"

namespace hidreamer::agent {

// A batch of B dreams of any length, to be played like games. When the world model has no room for
// another step, or when one dream restarts, the rollout begins again from the last `context` steps
// of every dream. Not thread-safe.
class LongDream {
 public:
  // beginnings (B, context, …)
  LongDream(std::shared_ptr<imagination::Agent> agent, const world_model::Steps& beginnings);

  int64_t dreams() const { return history_.windows(); }  // B
  // Dream i begins anew in window `from` of `beginnings`.
  void BeginAnew(int64_t i, const world_model::Steps& beginnings, int64_t from);

  struct Step {
    torch::Tensor rewards;    // (B) f32, plain units
    torch::Tensor continues;  // (B) f32, probability that the game goes on
  };
  // The newest step's codes become (B, P, L), as if they had been dreamed.
  void Replace(const torch::Tensor& codes);
  // Plays actions (B) int64; temperature 0: the likeliest codes.
  Step Play(const torch::Tensor& actions, double temperature, Rng& rng);

  // Of the newest step.
  torch::Tensor codes() const;   // (B, P, L) int64
  torch::Tensor values() const;  // (B, C, G, G) f32, their quantized grid
  torch::Tensor Features();      // (B, F), what actor and critic see

 private:
  world_model::Rollout& Now();

  std::shared_ptr<imagination::Agent> agent_;
  world_model::Steps history_;                     // (B, context, …)
  std::unique_ptr<world_model::Rollout> rollout_;  // null: to begin at the end of history_
  int64_t left_ = 0;                               // steps that rollout_ has room for
};

}  // namespace hidreamer::agent
