#include "hidreamer/env/gray_picture.h"

#include <algorithm>
#include <cstring>

namespace hidreamer::env {

// Most of an Atari screen is runs of one color: eight pixels like the eight before them are drawn
// without looking them up.
void DrawGray(const uint8_t* screen, const uint8_t* previous, size_t size,
              const std::array<uint8_t, 256>& gray, uint8_t* picture) {
  const auto draw = [&](size_t i) { picture[i] = std::max(gray[screen[i]], gray[previous[i]]); };
  uint64_t last_now = 0, last_before = 0, last_drawn = 0;
  const size_t whole = size - size % 8;
  for (size_t i = 0; i < whole; i += 8) {
    uint64_t now = 0, before = 0;
    std::memcpy(&now, screen + i, 8);
    std::memcpy(&before, previous + i, 8);
    if (i > 0 && now == last_now && before == last_before) {
      std::memcpy(picture + i, &last_drawn, 8);
      continue;
    }
    for (size_t j = i; j < i + 8; ++j) {
      draw(j);
    }
    std::memcpy(&last_drawn, picture + i, 8);
    last_now = now;
    last_before = before;
  }
  for (size_t i = whole; i < size; ++i) {
    draw(i);
  }
}

}  // namespace hidreamer::env
