#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hidreamer::env {

// Brings a gray picture to another size by area averaging: each output pixel is the mean of the
// input area that it covers, computed exactly in integers and rounded to the nearest (halves up).
// Separable. The last picture is kept, and rows that have not changed since are not computed again:
// of a game's frames most. So one instance serves one thread, and best one game.
class AreaResizer {
 public:
  AreaResizer(int source_height, int source_width, int height, int width);

  // source (source_height, source_width) u8 -> out (height, width) u8, both row-major.
  void Resize(const uint8_t* source, uint8_t* out);

 private:
  // The input pixels under one output pixel, along one axis.
  struct Span {
    int begin = 0;                  // first input pixel
    std::vector<uint32_t> weights;  // of begin, begin + 1, …; they add up to Axis::total
  };
  struct Axis {
    std::vector<Span> spans;
    uint32_t total = 0;
    int taps = 0;  // the longest span
  };
  static Axis MakeAxis(int source, int target);

  int source_height_;
  int source_width_;
  int width_;
  Axis rows_;
  Axis columns_;
  uint64_t reciprocal_;
  std::vector<uint8_t> last_source_;      // empty before the first picture
  std::vector<uint8_t> last_out_;         // (height, width)
  std::vector<uint32_t> row_;             // (source_width + padding) one weighted sum of rows
  std::vector<uint32_t> column_weights_;  // (width, taps)
};

// The same by the definition, in double precision; slow, for tests.
void ResizeByDefinition(const uint8_t* source, int source_height, int source_width, uint8_t* out,
                        int height, int width);

}  // namespace hidreamer::env
