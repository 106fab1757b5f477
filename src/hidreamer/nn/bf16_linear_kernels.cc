#ifndef HID_TARGET

#include "hidreamer/nn/bf16_linear_kernels.h"

#include <algorithm>
#include <vector>

#include "hidreamer/nn/bf16_vectors.h"
#include "hidreamer/nn/read_ahead.h"

#define HID_KERNELS "hidreamer/nn/bf16_linear_kernels.cc"
#include "hidreamer/nn/each_target.h"

namespace hidreamer::nn {

void WeightGradient(const WeightGradientBlock& block, float* weight_gradient, int64_t stride,
                    float* bias_gradient) {
  HID_DISPATCH(WeightGradient(block, weight_gradient, stride, bias_gradient));
}

}  // namespace hidreamer::nn

#else

namespace hidreamer::nn::HID_TARGET {
namespace {

// Both sides packed fill half of the second cache: 1 MB, or 2 beside matrix units; less with AVX2
// alone.
int64_t RowsAtOnce() { return HasMatrixUnits() ? 512 : WantsWide() ? 128 : 256; }

// The columns of x (rows, inner) bf16, rows `stride` apart, as f32: [inner / 32][padded][32].
void WidenColumns(const Bf16* x, int64_t rows, int64_t inner, int64_t stride, int64_t padded,
                  float* out) {
  for (int64_t column = 0; column < inner; column += kPanelOutputs, out += padded * kPanelOutputs) {
    for (int64_t r = 0; r < padded; ++r) {
      for (int64_t j = 0; j < kPanelOutputs; j += kLanes) {
        Store(out + r * kPanelOutputs + j,
              r < rows ? LoadBf16(x + r * stride + column + j) : Zero());
      }
    }
  }
}

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
  const bool wide = WantsWide();
  AlignedBuffer<Bf16> gradient_pairs(rows_at_once * outputs), x_pairs;
  AlignedBuffer<float> x_wide;
  std::vector<TileLeft> left(static_cast<size_t>(outputs / kPanelOutputs * TilesOfPanel()));
  const int64_t tiles = std::ssize(left) * (inner / kPanelOutputs);
  const TileScope scope;
  for (int64_t first = 0; first < block.rows; first += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, block.rows - first);
    const int64_t padded = RoundUp(rows, TileInner());
    PackAsInner(block.gradient + first * block.gradient_stride, rows, outputs,
                block.gradient_stride, gradient_pairs.data(), TileInner());
    const Bf16* const x = block.x + first * block.x_stride;
    Bf16Columns right;
    if (wide) {
      right.wide = x_wide.Room(rows_at_once * inner);
      WidenColumns(x, rows, inner, block.x_stride, padded, x_wide.data());
    } else {
      right.first = x_pairs.Room(rows_at_once * inner);
      PackAsInner(x, rows, inner, block.x_stride, x_pairs.data(), TileInner());
    }
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
      left[static_cast<size_t>(tile)].Take(count,
                                           {.length = padded, .pair_stride = 2 * kPanelOutputs},
                                           [&](int64_t r) { return pairs + 2 * r; });
    }
    for (int64_t column = 0; column < inner; column += kPanelOutputs) {
      const Bf16Columns columns = right.From(column / kPanelOutputs * padded);
      for (int64_t tile = 0; tile < std::ssize(left); ++tile) {
        ahead.Some(lines);
        left[static_cast<size_t>(tile)].AddTo(
            columns, weight_gradient + TileBegin(tile) * stride + column, stride);
      }
    }
    for (int64_t o = 0; bias_gradient != nullptr && o < outputs; o += kPanelOutputs) {
      AddPairs(gradient_pairs.data() + o * padded, padded / 2, 2 * kPanelOutputs,
               bias_gradient + o);
    }
  }
}

}  // namespace hidreamer::nn::HID_TARGET

#endif
