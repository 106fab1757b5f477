#pragma once

#include <vector>

#include "hidreamer/agent/observation.h"
#include "hidreamer/config/config.h"
#include "hidreamer/data/replay_buffer.h"

namespace hidreamer::agent {

data::ReplayBufferOptions ReplayOf(const config::Config& config);

// Which windows dreams begin in and the world model learns from.
data::SampleOptions SamplingOf(const config::Config& config);

// The replay as the networks read it. On a GPU all its frames are kept there as well (100,000 steps
// are 410 MB), so that a batch of them need not pass through the host.
class ReplayReader {
 public:
  ReplayReader(const data::ReplayBuffer& replay, torch::Device device);

  const data::ReplayBuffer& replay() const { return replay_; }
  // Brings what was appended to the replay to the device.
  void Follow();
  // Brings everything there again, after the replay was loaded.
  void Reload();
  // Frames of windows, (B T, 1, 64, 64) f32 in [0, 1].
  torch::Tensor Frames(const std::vector<data::WindowStart>& starts, int64_t length) const;

 private:
  const data::ReplayBuffer& replay_;
  torch::Device device_;
  torch::Tensor frames_;        // (streams, capacity, 64 * 64) u8; a GPU's alone
  std::vector<int64_t> known_;  // steps of each stream that are there
};

}  // namespace hidreamer::agent
