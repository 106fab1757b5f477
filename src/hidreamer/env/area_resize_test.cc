#include "hidreamer/env/area_resize.h"

#include <gtest/gtest.h>

#include "hidreamer/base/seed.h"

namespace hidreamer::env {
namespace {

std::vector<uint8_t> RandomPicture(int pixels, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint8_t> picture(static_cast<size_t>(pixels));
  for (uint8_t& pixel : picture) {
    pixel = static_cast<uint8_t>(rng.UniformInt(256));
  }
  return picture;
}

void ExpectMatchesDefinition(int source_height, int source_width, int height, int width) {
  const std::vector<uint8_t> picture = RandomPicture(source_height * source_width, 3);
  std::vector<uint8_t> fast(static_cast<size_t>(height * width));
  std::vector<uint8_t> plain(fast.size());
  AreaResizer(source_height, source_width, height, width).Resize(picture.data(), fast.data());
  ResizeByDefinition(picture.data(), source_height, source_width, plain.data(), height, width);
  EXPECT_EQ(fast, plain);
}

TEST(AreaResizer, MatchesTheDefinitionForAtariScreens) {
  ExpectMatchesDefinition(210, 160, 84, 84);
  ExpectMatchesDefinition(250, 160, 84, 84);
}

TEST(AreaResizer, MatchesTheDefinitionForOtherSizes) {
  ExpectMatchesDefinition(7, 5, 3, 2);
  ExpectMatchesDefinition(6, 6, 6, 6);
}

TEST(AreaResizer, FollowsAPictureThatChangesInPlaces) {
  AreaResizer resizer(210, 160, 84, 84);
  std::vector<uint8_t> picture = RandomPicture(210 * 160, 5);
  std::vector<uint8_t> fast(84 * 84), plain(84 * 84);
  Rng rng(7);
  for (int frame = 0; frame < 20; ++frame) {
    resizer.Resize(picture.data(), fast.data());
    ResizeByDefinition(picture.data(), 210, 160, plain.data(), 84, 84);
    ASSERT_EQ(fast, plain) << frame;
    for (int64_t pixel = rng.UniformInt(3); pixel > 0; --pixel) {  // now and then none
      auto& changed = picture[static_cast<size_t>(rng.UniformInt(210 * 160))];
      changed = static_cast<uint8_t>(changed + 100);
    }
  }
}

TEST(AreaResizer, KeepsTheExtremes) {
  for (const int gray : {0, 1, 254, 255}) {
    const std::vector<uint8_t> picture(210 * 160, static_cast<uint8_t>(gray));
    std::vector<uint8_t> out(84 * 84);
    AreaResizer(210, 160, 84, 84).Resize(picture.data(), out.data());
    EXPECT_EQ(out, std::vector<uint8_t>(84 * 84, static_cast<uint8_t>(gray)));
  }
}

}  // namespace
}  // namespace hidreamer::env
