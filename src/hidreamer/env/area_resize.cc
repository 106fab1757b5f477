#include "hidreamer/env/area_resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "hidreamer/base/error.h"

namespace hidreamer::env {
namespace {

constexpr int kReciprocalShift = 40;

}  // namespace

// In units of 1/u of an input pixel, u = target/gcd, an output pixel covers source/gcd units: all
// borders are whole numbers.
AreaResizer::Axis AreaResizer::MakeAxis(int source, int target) {
  HID_CHECK(source > 0 && target > 0, "source {} target {}", source, target);
  const int divisor = std::gcd(source, target);
  const int pixel = target / divisor;
  Axis axis;
  axis.total = static_cast<uint32_t>(source / divisor);
  for (int i = 0; i < target; ++i) {
    const int begin = i * (source / divisor);
    const int end = begin + source / divisor;
    Span span;
    span.begin = begin / pixel;
    for (int p = span.begin; p * pixel < end; ++p) {
      const int covered = std::min(end, (p + 1) * pixel) - std::max(begin, p * pixel);
      span.weights.push_back(static_cast<uint32_t>(covered));
    }
    axis.taps = std::max(axis.taps, static_cast<int>(span.weights.size()));
    axis.spans.push_back(std::move(span));
  }
  return axis;
}

AreaResizer::AreaResizer(int source_height, int source_width, int height, int width)
    : source_height_(source_height),
      source_width_(source_width),
      width_(width),
      rows_(MakeAxis(source_height, height)),
      columns_(MakeAxis(source_width, width)) {
  const uint64_t total = uint64_t{rows_.total} * columns_.total;
  // sum / total as a multiplication, exact while (255 + 1/2) total^2 < 2^40.
  HID_CHECK(total < 60000, "{}x{} is too large a picture", source_height, source_width);
  reciprocal_ = ((uint64_t{1} << kReciprocalShift) + total - 1) / total;
  row_.assign(static_cast<size_t>(source_width + columns_.taps), 0);
  last_out_.resize(static_cast<size_t>(height) * static_cast<size_t>(width));
  for (const Span& span : columns_.spans) {
    for (int t = 0; t < columns_.taps; ++t) {
      const auto i = static_cast<size_t>(t);
      column_weights_.push_back(i < span.weights.size() ? span.weights[i] : 0);
    }
  }
}

void AreaResizer::Resize(const uint8_t* source, uint8_t* out) {
  const uint64_t half = uint64_t{rows_.total} * columns_.total / 2;
  const auto taps = static_cast<size_t>(columns_.taps);
  const auto source_width = static_cast<size_t>(source_width_);
  const bool first = last_source_.empty();
  uint8_t* out_row = last_out_.data();
  for (const Span& rows : rows_.spans) {
    const size_t begin = static_cast<size_t>(rows.begin) * source_width;
    const size_t size = rows.weights.size() * source_width;
    uint8_t* to = out_row;
    out_row += width_;
    if (!first && std::memcmp(source + begin, last_source_.data() + begin, size) == 0) {
      continue;
    }
    std::fill_n(row_.begin(), source_width, 0U);
    for (size_t r = 0; r < rows.weights.size(); ++r) {
      const uint32_t weight = rows.weights[r];
      const uint8_t* line = source + (static_cast<size_t>(rows.begin) + r) * source_width;
      for (size_t x = 0; x < source_width; ++x) {
        row_[x] += weight * line[x];
      }
    }
    const uint32_t* weights = column_weights_.data();
    for (const Span& columns : columns_.spans) {
      const uint32_t* inputs = row_.data() + columns.begin;
      uint64_t sum = half;
      for (size_t t = 0; t < taps; ++t) {
        sum += uint64_t{weights[t]} * inputs[t];
      }
      weights += taps;
      *to++ = static_cast<uint8_t>((sum * reciprocal_) >> kReciprocalShift);
    }
  }
  last_source_.assign(source, source + source_width * static_cast<size_t>(source_height_));
  std::memcpy(out, last_out_.data(), last_out_.size());
}

void ResizeByDefinition(const uint8_t* source, int source_height, int source_width, uint8_t* out,
                        int height, int width) {
  const double scale_y = static_cast<double>(source_height) / height;
  const double scale_x = static_cast<double>(source_width) / width;
  const auto overlap = [](double begin, double end, int pixel) {
    return std::max(0.0, std::min(end, pixel + 1.0) - std::max(begin, double(pixel)));
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      double sum = 0;
      for (int sy = 0; sy < source_height; ++sy) {
        const double wy = overlap(y * scale_y, (y + 1) * scale_y, sy);
        for (int sx = 0; wy > 0 && sx < source_width; ++sx) {
          sum += wy * overlap(x * scale_x, (x + 1) * scale_x, sx) * source[sy * source_width + sx];
        }
      }
      const double mean = sum / (scale_y * scale_x);
      out[y * width + x] = static_cast<uint8_t>(std::floor(mean + 0.5 + 1e-9));
    }
  }
}

}  // namespace hidreamer::env
