#include "hidreamer/env/frame_stack.h"

#include <algorithm>
#include <cstring>

namespace hidreamer::env {

void FrameStack::Reset(std::span<const uint8_t, kFrameBytes> frame) {
  for (int i = 0; i < kStackDepth; ++i) {
    std::copy(frame.begin(), frame.end(), frames_.begin() + i * kFrameBytes);
  }
}

void FrameStack::Push(std::span<const uint8_t, kFrameBytes> frame) {
  constexpr size_t kKept = size_t{kStackDepth - 1} * kFrameBytes;
  std::memmove(frames_.data(), frames_.data() + kFrameBytes, kKept);
  std::copy(frame.begin(), frame.end(), frames_.begin() + kKept);
}

}  // namespace hidreamer::env
