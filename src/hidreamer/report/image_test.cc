#include "hidreamer/report/image.h"

#include <gtest/gtest.h>
#include <png.h>
#include <webp/demux.h>

namespace hidreamer::report {
namespace {

GrayImage Gradient(int64_t width, int64_t height) {
  GrayImage image(width, height);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      image.At(x, y) = static_cast<uint8_t>(7 * x + 31 * y);
    }
  }
  return image;
}

TEST(ImageTest, PngComesBackPixelForPixel) {
  const GrayImage image = Gradient(13, 9);
  const std::string bytes = EncodePng(image);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  ASSERT_TRUE(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()));
  png.format = PNG_FORMAT_GRAY;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(png));
  ASSERT_TRUE(png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr));
  EXPECT_EQ(pixels, image.pixels);
}

TEST(ImageTest, AnimationHoldsEveryFrame) {
  std::vector<GrayImage> frames = {Gradient(20, 10), GrayImage(20, 10, 40), Gradient(20, 10)};
  const std::string bytes = EncodeWebpAnimation(frames, 100);
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  WebPAnimDecoder* decoder = WebPAnimDecoderNew(&data, nullptr);
  ASSERT_NE(decoder, nullptr);
  WebPAnimInfo info;
  ASSERT_TRUE(WebPAnimDecoderGetInfo(decoder, &info));
  EXPECT_EQ(info.frame_count, 3U);
  EXPECT_EQ(info.canvas_width, 20U);
  uint8_t* rgba = nullptr;
  int time = 0;
  for (const GrayImage& frame : frames) {
    ASSERT_TRUE(WebPAnimDecoderGetNext(decoder, &rgba, &time));
    EXPECT_EQ(rgba[4 * 25], frame.pixels[25]);
  }
  EXPECT_EQ(time, 300);
  WebPAnimDecoderDelete(decoder);
}

TEST(ImageTest, TilesLieInRowsWithGaps) {
  const GrayImage sheet =
      Tile({GrayImage(2, 2, 10), GrayImage(2, 2, 20), GrayImage(2, 2, 30)}, 2, 1, 99);
  EXPECT_EQ(sheet.width, 5);
  EXPECT_EQ(sheet.height, 5);
  EXPECT_EQ(sheet.At(0, 0), 10);
  EXPECT_EQ(sheet.At(2, 0), 99);
  EXPECT_EQ(sheet.At(3, 1), 20);
  EXPECT_EQ(sheet.At(1, 4), 30);
  EXPECT_EQ(sheet.At(4, 4), 99);
}

}  // namespace
}  // namespace hidreamer::report
