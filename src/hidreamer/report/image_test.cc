#include "hidreamer/report/image.h"

#include <gtest/gtest.h>
#include <png.h>
#include <webp/demux.h>

namespace hidreamer::report {
namespace {

Image Gradient(int64_t width, int64_t height) {
  Image image(width, height);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      image.At(x, y) = static_cast<uint8_t>(7 * x + 31 * y);
    }
  }
  return image;
}

TEST(ImageTest, PngComesBackPixelForPixel) {
  const Image image = Gradient(13, 9);
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
  std::vector<Image> frames = {Gradient(20, 10), Image(20, 10, 40), Gradient(20, 10)};
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
  for (const Image& frame : frames) {
    ASSERT_TRUE(WebPAnimDecoderGetNext(decoder, &rgba, &time));
    EXPECT_EQ(rgba[4 * 25], frame.pixels[25]);
  }
  EXPECT_EQ(time, 300);
  WebPAnimDecoderDelete(decoder);
}

TEST(ImageTest, ColoursComeBack) {
  Image image(3, 2, 0, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<uint8_t>(13 * i);
  }
  const std::string bytes = EncodePng(Enlarge(image, 2));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  ASSERT_TRUE(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()));
  EXPECT_EQ(png.width, 6U);
  EXPECT_EQ(png.format & PNG_FORMAT_FLAG_COLOR, unsigned{PNG_FORMAT_FLAG_COLOR});
  png.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(png));
  ASSERT_TRUE(png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr));
  EXPECT_EQ(pixels, Enlarge(image, 2).pixels);
  EXPECT_EQ(pixels[3 * (2 * 6 + 4) + 1],
            image.pixels[3 * (1 * 3 + 2) + 1]);  // pixel (4, 2): (2, 1)

  const std::string animation = EncodeWebpAnimation({image, Enlarge(image, 1)}, 50);
  const WebPData data{reinterpret_cast<const uint8_t*>(animation.data()), animation.size()};
  WebPAnimDecoder* decoder = WebPAnimDecoderNew(&data, nullptr);
  uint8_t* rgba = nullptr;
  int time = 0;
  ASSERT_TRUE(WebPAnimDecoderGetNext(decoder, &rgba, &time));
  EXPECT_EQ(std::vector<uint8_t>(rgba + 4, rgba + 7),
            std::vector<uint8_t>(image.pixels.begin() + 3, image.pixels.begin() + 6));
  WebPAnimDecoderDelete(decoder);
}

TEST(ImageTest, PicturesOfDifferentSizesStandBesideEachOther) {
  const Image row = Beside({Image(4, 10, 1), Image(3, 4, 2)}, 9, 2, 77);
  EXPECT_EQ(row.width, 4 + 2 + 6);
  EXPECT_EQ(row.height, 10);
  EXPECT_EQ(row.At(0, 0), 1);
  EXPECT_EQ(row.At(4, 5), 77);
  EXPECT_EQ(row.At(6, 0), 77);
  EXPECT_EQ(row.At(6, 1), 2);
  EXPECT_EQ(row.At(11, 8), 2);
  EXPECT_EQ(row.At(11, 9), 77);
}

TEST(ImageTest, TilesLieInRowsWithGaps) {
  const Image sheet = Tile({Image(2, 2, 10), Image(2, 2, 20), Image(2, 2, 30)}, 2, 1, 99);
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
