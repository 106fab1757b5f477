#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "hidreamer/env/environment.h"

namespace hidreamer::env {

// The last kStackDepth frames, oldest first: an observation (4, 84, 84) u8.
class FrameStack {
 public:
  // Fills every place with the episode's first frame.
  void Reset(std::span<const uint8_t, kFrameBytes> frame);
  // Drops the oldest frame and adds the newest.
  void Push(std::span<const uint8_t, kFrameBytes> frame);
  const uint8_t* data() const { return frames_.data(); }  // (4, 84, 84)

 private:
  std::array<uint8_t, size_t{kStackDepth} * kFrameBytes> frames_{};
};

}  // namespace hidreamer::env
