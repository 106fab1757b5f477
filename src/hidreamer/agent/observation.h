#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/area_resize.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::agent {

constexpr int kObservationSize = 64;
constexpr int kObservationBytes = kObservationSize * kObservationSize;

// Environment frames (84, 84) -> what the online agent sees, (64, 64) u8 by area averaging. One
// instance serves one thread.
class Observer {
 public:
  Observer() : resizer_(env::kFrameSize, env::kFrameSize, kObservationSize, kObservationSize) {}
  void Observe(std::span<const uint8_t, env::kFrameBytes> frame, uint8_t* out) {
    resizer_.Resize(frame.data(), out);
  }

 private:
  env::AreaResizer resizer_;
};

// Observations of a recording's rows, end to end.
std::vector<uint8_t> ObserveRows(const data::EpisodeStore& store, const std::vector<int64_t>& rows);

// u8 pixels of N observations -> (N, 1, 64, 64) f32 in [0, 1].
torch::Tensor ToTensor(const std::vector<uint8_t>& pixels, torch::Device device = torch::kCPU);
torch::Tensor ToTensor(const torch::Tensor& pixels);  // (N, 64 * 64) u8, stays on its device

}  // namespace hidreamer::agent
