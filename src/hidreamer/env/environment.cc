#include "hidreamer/env/environment.h"

namespace hidreamer::env {

Screen ScreenOfGray(std::span<const uint8_t> picture, int height, int width) {
  Screen screen{.height = height, .width = width};
  screen.rgb.reserve(3 * picture.size());
  for (const uint8_t gray : picture) {
    screen.rgb.insert(screen.rgb.end(), 3, gray);
  }
  return screen;
}

}  // namespace hidreamer::env
