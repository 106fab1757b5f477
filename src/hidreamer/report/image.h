#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hidreamer::report {

// A gray picture, row-major, 0 black.
struct GrayImage {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> pixels = {};  // (height, width)

  GrayImage() = default;
  GrayImage(int64_t w, int64_t h, uint8_t fill = 0);
  uint8_t& At(int64_t x, int64_t y) { return pixels[static_cast<size_t>(y * width + x)]; }
  uint8_t At(int64_t x, int64_t y) const { return pixels[static_cast<size_t>(y * width + x)]; }
};

// Pictures in rows of `columns`, `gap` pixels of `background` between them. All of one size.
GrayImage Tile(const std::vector<GrayImage>& images, int64_t columns, int64_t gap,
               uint8_t background = 128);
// Every pixel becomes factor x factor pixels.
GrayImage Enlarge(const GrayImage& image, int64_t factor);

// PNG and WebP files as bytes. Throw an internal Error if the library refuses.
std::string EncodePng(const GrayImage& image);
// Lossless, endlessly repeated; every picture is shown for `milliseconds`.
std::string EncodeWebpAnimation(const std::vector<GrayImage>& frames, int milliseconds);

// The bytes as an address. type: "image/png" or "image/webp".
std::string DataUrl(const std::string& bytes, const std::string& type);
// <img> with the bytes inside the page.
std::string ImageElement(const std::string& bytes, const std::string& type,
                         const std::string& alternative_text);

}  // namespace hidreamer::report
