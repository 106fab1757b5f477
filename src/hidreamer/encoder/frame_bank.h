#pragma once

#include <torch/torch.h>

#include <vector>

#include "hidreamer/encoder/frame_pairs.h"

namespace hidreamer::encoder {

// All frames of the games on a GPU, where observations are put together from them: reading and
// sending them takes longer than the training step that they are for.
class FrameBank {
 public:
  FrameBank(const std::vector<EncoderGame>& games, torch::Device device);

  // (rows.size(), 4) i64 on the CPU: where the frames of each row's observation lie.
  torch::Tensor PlacesOf(const std::vector<FrameRow>& rows) const;
  // places (N, 4), on the CPU -> observations (N, 4, 84, 84) u8 on the device.
  torch::Tensor Gather(const torch::Tensor& places) const;

 private:
  std::vector<EncoderGame> games_;
  std::vector<int64_t> first_;  // frame of each game
  torch::Tensor frames_;        // (all games' rows, 84, 84) u8
};

}  // namespace hidreamer::encoder
