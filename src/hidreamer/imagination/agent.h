#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/player.h"
#include "hidreamer/imagination/dreamer.h"
#include "hidreamer/layers/precision.h"

namespace hidreamer::imagination {

// A trained agent of either kind of run, as all that plays and dreams with it knows it: a dreamer
// with eyes.
//   games --Frames--> frames --See--> codes --> world()
//                                       └──Pictures--> what they show
class Agent : public Dreamer {
 public:
  virtual const std::string& game() const = 0;
  virtual int64_t actions() const = 0;  // A, the game's own
  virtual layers::Precision precision() const = 0;
  virtual torch::Device device() const = 0;

  // What it is shown of N games, or of N rows of a recording: (N, …), on its device.
  virtual torch::Tensor Frames(const std::vector<env::PlayerView>& games) = 0;
  virtual torch::Tensor Frames(const data::EpisodeStore& recording,
                               const std::vector<int64_t>& rows) = 0;
  struct Sight {
    torch::Tensor codes;   // (N, P, L) int64
    torch::Tensor values;  // (N, C, G, G) f32, their quantized grid
  };
  virtual Sight See(const torch::Tensor& frames) = 0;
  virtual torch::Tensor Pictures(const torch::Tensor& codes) = 0;  // (N, P, L) -> (N, S, S) u8
};

}  // namespace hidreamer::imagination
