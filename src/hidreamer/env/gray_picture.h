#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hidreamer::env {

// The gray picture of a screen: for each of `size` pixels the brighter of the two frames', which
// are palette indices. Objects that flicker from frame to frame are all seen so.
void DrawGray(const uint8_t* screen, const uint8_t* previous, size_t size,
              const std::array<uint8_t, 256>& gray, uint8_t* picture);

}  // namespace hidreamer::env
