#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/world_model/recorded_steps.h"

namespace hidreamer::imagination {

// Windows drawn more or less often than others.
struct WeighedSteps {
  world_model::Steps steps;
  torch::Tensor weights;  // (B) f32, uniform probability / sampling probability; mean near 1
};

// Draws windows from given episodes of a recorded game, none across an episode border.
class ReplayWindows {
 public:
  // The game is shared by reference and outlives this.
  ReplayWindows(const tokenizer::TokenizedGame& game, std::vector<data::EpisodeRange> episodes);

  // Longest window that any episode holds.
  int64_t longest() const { return longest_; }

  // Windows of `length` rows. A share `rewarding` of the draws is uniform over windows that hold a
  // reward or an end, the others over all windows; `weights` undoes that, so that a weighted mean
  // estimates the plain mean over all windows. Throws a user Error if no window is that long.
  WeighedSteps Draw(int64_t batch, int64_t length, double rewarding, Rng& rng) const;

  // The last `length` rows up to a drawn one, from which to dream. Before an episode's start its
  // first row again, with action 0: it is taken to have stood still. For a share `near_reward` of
  // them a recorded reward follows within `horizon` steps (the drawn row's own action included): a
  // reward is drawn, then the distance to it. Others are uniform.
  world_model::Steps DrawContexts(int64_t batch, int64_t length, int64_t horizon,
                                  double near_reward, Rng& rng) const;

  // The windows that start at the given rows.
  world_model::Steps At(const std::vector<int64_t>& starts, int64_t length) const;
  // All starts of windows of `length` rows, ascending.
  std::vector<int64_t> Starts(int64_t length) const;

 private:
  const tokenizer::TokenizedGame& game_;
  std::vector<data::EpisodeRange> episodes_;
  std::vector<data::EpisodeRange> episode_of_reward_;  // beside reward_rows_
  std::vector<int64_t> reward_rows_;                   // rewards other than 0
  std::vector<int64_t> events_before_;                 // (N + 1) rewards and ends in rows [0, n)
  int64_t longest_ = 0;
};

}  // namespace hidreamer::imagination
