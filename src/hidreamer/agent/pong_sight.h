#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/data/episode_store.h"

// Where ball and paddle are in Pong's 64x64 pictures: seen, and known from RAM.
namespace hidreamer::agent {

// In pixels.
struct Sighting {
  torch::Tensor x, y;      // (N) f32, ball
  torch::Tensor strength;  // (N) largest contrast in the field
  torch::Tensor paddle_y;  // (N) own paddle
};

// pictures (N, 1, 64, 64), background (1, 1, 64, 64). The ball is the strongest difference from the
// background between the paddles, refined to the centroid of the 5x5 pixels around it.
Sighting LookAtPong(const torch::Tensor& pictures, const torch::Tensor& background);

// (N) from the ball seen to a point, in pixels.
torch::Tensor Distance(const Sighting& seen, const torch::Tensor& x, const torch::Tensor& y);

bool IsPong(const data::EpisodeStore& store);

// The truth about a recording's rows, from RAM through a line fitted on what is seen in `frames` of
// its pictures. Keeps a reference to the recording.
class PongTruth {
 public:
  PongTruth(const data::EpisodeStore& store, const torch::Tensor& background, int64_t frames);

  // (N) f32 px
  torch::Tensor X(const std::vector<int64_t>& rows) const;
  torch::Tensor Y(const std::vector<int64_t>& rows) const;
  torch::Tensor Paddle(const std::vector<int64_t>& rows) const;
  // (N) bool: the ball is in the field.
  torch::Tensor InPlay(const std::vector<int64_t>& rows) const;
  nlohmann::json ToJson() const;  // the lines fitted

 private:
  struct Line {  // y = slope x + offset
    double slope = 0, offset = 0;
    torch::Tensor operator()(const torch::Tensor& x) const { return x * slope + offset; }
  };
  static Line Fit(torch::Tensor x, torch::Tensor y);

  const data::EpisodeStore& store_;
  Line x_, y_, paddle_;
};

}  // namespace hidreamer::agent
