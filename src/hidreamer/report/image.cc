#include "hidreamer/report/image.h"

#include <fmt/format.h>
#include <png.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <memory>

#include "hidreamer/base/error.h"
#include "hidreamer/report/html.h"

namespace hidreamer::report {

Image::Image(int64_t w, int64_t h, uint8_t fill, int64_t c)
    : width(w), height(h), channels(c), pixels(static_cast<size_t>(w * h * c), fill) {}

Image ImageOf(const env::Screen& screen) {
  Image image(screen.width, screen.height, 0, 3);
  image.pixels = screen.rgb;
  return image;
}

Image Tile(const std::vector<Image>& images, int64_t columns, int64_t gap, uint8_t background) {
  HID_CHECK(!images.empty() && columns > 0, "{} images in {} columns", images.size(), columns);
  const auto count = static_cast<int64_t>(images.size());
  columns = std::min(columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t w = images[0].width;
  const int64_t h = images[0].height;
  const int64_t c = images[0].channels;
  Image sheet(columns * w + (columns - 1) * gap, rows * h + (rows - 1) * gap, background, c);
  for (int64_t i = 0; i < count; ++i) {
    const Image& image = images[static_cast<size_t>(i)];
    HID_CHECK(image.width == w && image.height == h && image.channels == c,
              "{} x {} x {} among {} x {} x {}", image.width, image.height, image.channels, w, h,
              c);
    for (int64_t y = 0; y < h; ++y) {
      std::copy_n(&image.At(0, y), w * c,
                  &sheet.At(i % columns * (w + gap), i / columns * (h + gap) + y));
    }
  }
  return sheet;
}

Image Enlarge(const Image& image, int64_t factor) {
  Image large(image.width * factor, image.height * factor, 0, image.channels);
  for (int64_t y = 0; y < large.height; ++y) {
    for (int64_t x = 0; x < large.width; ++x) {
      std::copy_n(&image.At(x / factor, y / factor), image.channels, &large.At(x, y));
    }
  }
  return large;
}

std::string EncodePng(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = 0;
  HID_CHECK(png_image_write_to_memory(&png, nullptr, &size, 0, image.pixels.data(), 0, nullptr),
            "libpng: {}", png.message);
  std::string bytes(size, '\0');
  HID_CHECK(
      png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr),
      "libpng: {}", png.message);
  bytes.resize(size);
  return bytes;
}

Image Beside(const std::vector<Image>& images, int64_t wanted_height, int64_t gap,
             uint8_t background) {
  std::vector<Image> enlarged;
  int64_t width = -gap, height = 0;
  for (const Image& image : images) {
    const int64_t factor = std::max<int64_t>(1, (wanted_height + image.height / 2) / image.height);
    enlarged.push_back(Enlarge(image, factor));
    width += enlarged.back().width + gap;
    height = std::max(height, enlarged.back().height);
  }
  const int64_t channels = images.at(0).channels;
  Image row(width, height, background, channels);
  int64_t left = 0;
  for (const Image& image : enlarged) {
    HID_CHECK(image.channels == channels, "{} and {} channels", image.channels, channels);
    const int64_t top = (height - image.height) / 2;
    for (int64_t y = 0; y < image.height; ++y) {
      std::copy_n(&image.At(0, y), image.width * channels, &row.At(left, top + y));
    }
    left += image.width + gap;
  }
  return row;
}

namespace {

uint32_t Argb(const Image& image, int64_t x, int64_t y) {
  const uint8_t* pixel = &image.At(x, y);
  const bool gray = image.channels == 1;
  return 0xff000000U | uint32_t{pixel[0]} << 16 | uint32_t{pixel[gray ? 0 : 1]} << 8 |
         uint32_t{pixel[gray ? 0 : 2]};
}

}  // namespace

std::string EncodeWebpAnimation(const std::vector<Image>& frames, int milliseconds) {
  HID_CHECK(!frames.empty(), "no frames");
  const int width = static_cast<int>(frames[0].width);
  const int height = static_cast<int>(frames[0].height);
  WebPAnimEncoderOptions options;
  HID_CHECK(WebPAnimEncoderOptionsInit(&options), "libwebp of another version");
  const std::unique_ptr<WebPAnimEncoder, void (*)(WebPAnimEncoder*)> encoder(
      WebPAnimEncoderNew(width, height, &options), WebPAnimEncoderDelete);
  HID_CHECK(encoder != nullptr, "libwebp: no encoder for {} x {}", width, height);
  WebPConfig config;
  HID_CHECK(WebPConfigInit(&config) && WebPConfigLosslessPreset(&config, 6), "libwebp: config");
  int time = 0;
  for (const Image& frame : frames) {
    HID_CHECK(frame.width == width && frame.height == height, "frames differ in size");
    WebPPicture picture;
    HID_CHECK(WebPPictureInit(&picture), "libwebp: picture");
    picture.use_argb = 1;
    picture.width = width;
    picture.height = height;
    HID_CHECK(WebPPictureAlloc(&picture), "libwebp: out of memory");
    for (int64_t y = 0; y < frame.height; ++y) {
      for (int64_t x = 0; x < frame.width; ++x) {
        picture.argb[y * picture.argb_stride + x] = Argb(frame, x, y);
      }
    }
    const bool added = WebPAnimEncoderAdd(encoder.get(), &picture, time, &config) != 0;
    WebPPictureFree(&picture);
    HID_CHECK(added, "libwebp: {}", WebPAnimEncoderGetError(encoder.get()));
    time += milliseconds;
  }
  HID_CHECK(WebPAnimEncoderAdd(encoder.get(), nullptr, time, nullptr), "libwebp: {}",
            WebPAnimEncoderGetError(encoder.get()));
  WebPData data;
  WebPDataInit(&data);
  HID_CHECK(WebPAnimEncoderAssemble(encoder.get(), &data), "libwebp: {}",
            WebPAnimEncoderGetError(encoder.get()));
  std::string bytes(reinterpret_cast<const char*>(data.bytes), data.size);
  WebPDataClear(&data);
  return bytes;
}

std::string DataUrl(const std::string& bytes, const std::string& type) {
  return fmt::format("data:{};base64,{}", type, Base64(bytes));
}

std::string ImageElement(const std::string& bytes, const std::string& type,
                         const std::string& alternative_text) {
  return fmt::format("<img src=\"{}\" alt=\"{}\">", Escape(DataUrl(bytes, type)),
                     Escape(alternative_text));
}

}  // namespace hidreamer::report
