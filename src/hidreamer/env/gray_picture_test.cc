#include "hidreamer/env/gray_picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "hidreamer/base/seed.h"

namespace hidreamer::env {
namespace {

TEST(DrawGray, TakesTheBrighterFrameOfEveryPixel) {
  Rng rng(3);
  std::array<uint8_t, 256> gray{};
  for (auto& value : gray) {
    value = static_cast<uint8_t>(rng.UniformInt(256));
  }
  // Runs of random lengths, as on a screen; sizes that are no multiple of 8.
  for (const size_t size : {size_t{5}, size_t{640}, size_t{1003}}) {
    const auto runs = [&] {
      std::vector<uint8_t> pixels;
      while (pixels.size() < size) {
        const auto length = static_cast<size_t>(1 + rng.UniformInt(40));
        pixels.insert(pixels.end(), length, static_cast<uint8_t>(rng.UniformInt(256)));
      }
      pixels.resize(size);
      return pixels;
    };
    const auto now = runs(), before = runs();
    std::vector<uint8_t> picture(size, 0);
    DrawGray(now.data(), before.data(), size, gray, picture.data());
    for (size_t i = 0; i < size; ++i) {
      ASSERT_EQ(picture[i], std::max(gray[now[i]], gray[before[i]])) << i << " of " << size;
    }
  }
}

}  // namespace
}  // namespace hidreamer::env
