#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace hidreamer::world_model {

// B windows of T consecutive steps of a game, as every world reads them. Worlds that only observe
// or begin to dream read the first four; a window may cross the borders of episodes.
struct Steps {
  torch::Tensor codes;             // (B, T, P, L) int64
  torch::Tensor values;            // (B, T, C, G, G) f32, the quantized grid of these codes
  torch::Tensor previous_actions;  // (B, T) int64, led to each step; anything where `firsts`
  torch::Tensor firsts;            // (B, T) bool, begins an episode: nothing before it is seen
  torch::Tensor actions = {};      // (B, T) int64, chosen at each step
  torch::Tensor rewards = {};      // (B, T) f32, followed the action
  torch::Tensor terminals = {};    // (B, T) bool, the action ended the episode

  int64_t windows() const { return codes.size(0); }  // B
  int64_t length() const { return codes.size(1); }   // T

  Steps Some(int64_t begin, int64_t count) const;   // windows begin …
  Steps Between(int64_t begin, int64_t end) const;  // steps begin … end - 1 of every window
  // Every window followed by the steps of the same window of `next`.
  Steps FollowedBy(const Steps& next) const;

  Steps To(torch::Device device) const;

  // All seven in the order above, and back.
  std::vector<torch::Tensor> ToTensors() const;
  static Steps FromTensors(const std::vector<torch::Tensor>& tensors);
};

}  // namespace hidreamer::world_model
