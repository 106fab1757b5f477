#ifndef HID_TARGET

#include "hidreamer/kernels/weight_gradient.h"

#include <algorithm>
#include <vector>

#include "hidreamer/kernels/read_ahead.h"
#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/weight_gradient.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

void WeightGradient(const WeightGradientBlock& block, float* weight_gradient, int64_t stride,
                    float* bias_gradient) {
  HID_DISPATCH(WeightGradient(block, weight_gradient, stride, bias_gradient));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

// Both sides packed fill half of the second cache: 1 MB, or 2 beside matrix units.
int64_t RowsAtOnce() { return HasMatrixUnits() ? 512 : 256; }

}  // namespace

void WeightGradient(const WeightGradientBlock& block, float* weight_gradient, int64_t stride,
                    float* bias_gradient) {
  const int64_t outputs = block.outputs, inner = block.inner, rows_at_once = RowsAtOnce();
  for (int64_t o = 0; o < outputs; ++o) {
    std::fill_n(weight_gradient + o * stride, inner, 0.0f);
  }
  if (bias_gradient != nullptr) {
    std::fill_n(bias_gradient, outputs, 0.0f);
  }
  AlignedBuffer<Bf16> gradient_pairs(rows_at_once * outputs);
  Bf16Panels right;
  std::vector<float> scales(static_cast<size_t>(outputs));
  std::vector<TileLeft> left(static_cast<size_t>(outputs / kPanelOutputs * TilesOfPanel()));
  const int64_t tiles = std::ssize(left) * (inner / kPanelOutputs);
  const TileScope scope;
  for (int64_t first = 0; first < block.rows; first += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, block.rows - first);
    const int64_t padded = RoundUp(rows, TileInner());
    PackAsInner(block.gradient + first * block.gradient_stride, rows, outputs,
                block.gradient_stride, gradient_pairs.data(), TileInner());
    for (int64_t o = 0; o < outputs; o += kPanelOutputs) {
      Bf16* const pairs = gradient_pairs.data() + o * padded;
      if (bias_gradient != nullptr) {
        AddPairs(pairs, padded / 2, 2 * kPanelOutputs, bias_gradient + o);
      }
      if (InFixedPoint()) {
        FixColumns(pairs, padded / 2, kPanelOutputs, 2 * kPanelOutputs, scales.data() + o);
      }
    }
    right.PackAsInner(block.x + first * block.x_stride, rows, inner, block.x_stride);
    const int64_t next = first + rows, following = std::min(rows_at_once, block.rows - next);
    constexpr int64_t kBytes = sizeof(Bf16), kLineBytes = 64;
    ReadAhead ahead;
    ahead.Add(block.x + next * block.x_stride, kBytes * inner, following, kBytes * block.x_stride);
    ahead.Add(block.gradient + next * block.gradient_stride, kBytes * outputs, following,
              kBytes * block.gradient_stride);
    const int64_t lines = rows_at_once * (outputs + inner) * kBytes / kLineBytes / tiles + 1;
    for (int64_t tile = 0; tile < std::ssize(left); ++tile) {
      const int64_t o = TileBegin(tile), of_panel = o % kPanelOutputs;
      const int64_t count = TileBegin(tile + 1) - o;
      const Bf16* const pairs = gradient_pairs.data() + (o - of_panel) * padded + 2 * of_panel;
      left[static_cast<size_t>(tile)].Take(
          count, {.length = padded, .pair_stride = 2 * kPanelOutputs, .scales = scales.data() + o},
          [&](int64_t r) { return pairs + 2 * r; });
    }
    for (int64_t column = 0; column < inner; column += kPanelOutputs) {
      const Bf16Columns columns = right.panel(column / kPanelOutputs);
      for (int64_t tile = 0; tile < std::ssize(left); ++tile) {
        ahead.Some(lines);
        left[static_cast<size_t>(tile)].AddTo(
            columns, weight_gradient + TileBegin(tile) * stride + column, stride);
      }
    }
  }
}

}  // namespace hidreamer::kernels::HID_TARGET

#endif
