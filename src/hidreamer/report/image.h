#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/env/environment.h"

namespace hidreamer::report {

// A picture, row-major: gray (1 channel, 0 black) or red, green and blue (3).
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 1;
  std::vector<uint8_t> pixels = {};  // (height, width, channels)

  Image() = default;
  Image(int64_t w, int64_t h, uint8_t fill = 0, int64_t c = 1);
  // The first channel of a pixel.
  uint8_t& At(int64_t x, int64_t y) { return pixels[Offset(x, y)]; }
  const uint8_t& At(int64_t x, int64_t y) const { return pixels[Offset(x, y)]; }

 private:
  size_t Offset(int64_t x, int64_t y) const {
    return static_cast<size_t>((y * width + x) * channels);
  }
};

Image ImageOf(const env::Screen& screen);

// Pictures in rows of `columns`, `gap` pixels of `background` between them. All of one size and
// number of channels.
Image Tile(const std::vector<Image>& images, int64_t columns, int64_t gap,
           uint8_t background = 128);
// Every pixel becomes factor x factor pixels.
Image Enlarge(const Image& image, int64_t factor);

// Pictures of any sizes in a row, each enlarged by the whole number that brings it nearest to a
// height. All with one number of channels.
Image Beside(const std::vector<Image>& images, int64_t wanted_height, int64_t gap,
             uint8_t background = 128);

// PNG and WebP files as bytes. Throw an internal Error if the library refuses.
std::string EncodePng(const Image& image);
// Lossless, endlessly repeated; every picture is shown for `milliseconds`.
std::string EncodeWebpAnimation(const std::vector<Image>& frames, int milliseconds);

// The bytes as an address. type: "image/png" or "image/webp".
std::string DataUrl(const std::string& bytes, const std::string& type);
// <img> with the bytes inside the page.
std::string ImageElement(const std::string& bytes, const std::string& type,
                         const std::string& alternative_text);

}  // namespace hidreamer::report
