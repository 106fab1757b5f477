#include "hidreamer/nn/bf16_linear_kernels.h"

#include <algorithm>
#include <vector>

#include "hidreamer/nn/bf16_vectors.h"
#include "hidreamer/nn/read_ahead.h"

namespace hidreamer::nn {

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

constexpr int64_t kRowsAtOnce = 256;  // both sides packed fill half of the second cache

}  // namespace

void WeightGradient(const WeightGradientBlock& block, float* weight_gradient, int64_t stride,
                    float* bias_gradient) {
  const int64_t outputs = block.outputs, inner = block.inner;
  for (int64_t o = 0; o < outputs; ++o) {
    std::fill_n(weight_gradient + o * stride, inner, 0.0f);
  }
  if (bias_gradient != nullptr) {
    std::fill_n(bias_gradient, outputs, 0.0f);
  }
  std::vector<Bf16> gradient_pairs(static_cast<size_t>(kRowsAtOnce * outputs)),
      x_pairs(static_cast<size_t>(kRowsAtOnce * inner));
  // Tiles are 11, 11 and 10 outputs of a panel by 32 of x's columns.
  const int64_t tiles = outputs / kPanelOutputs * 3 * (inner / kPanelOutputs);
  for (int64_t first = 0; first < block.rows; first += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, block.rows - first), even = (rows + 1) / 2 * 2;
    PackAsInner(block.gradient + first * block.gradient_stride, rows, outputs,
                block.gradient_stride, gradient_pairs.data());
    PackAsInner(block.x + first * block.x_stride, rows, inner, block.x_stride, x_pairs.data());
    const int64_t next = first + rows, following = std::min(kRowsAtOnce, block.rows - next);
    constexpr int64_t kBytes = sizeof(Bf16), kLineBytes = 64;
    ReadAhead ahead;
    ahead.Add(block.x + next * block.x_stride, kBytes * inner, following, kBytes * block.x_stride);
    ahead.Add(block.gradient + next * block.gradient_stride, kBytes * outputs, following,
              kBytes * block.gradient_stride);
    const int64_t lines = kRowsAtOnce * (outputs + inner) * kBytes / kLineBytes / tiles + 1;
    for (int64_t column = 0; column < inner; column += kPanelOutputs) {
      const Bf16Columns columns{.first = x_pairs.data() + column * even};
      for (int64_t o = 0; o < outputs;) {
        const int64_t of_panel = o % kPanelOutputs;
        const int64_t count = std::min<int64_t>(11, kPanelOutputs - of_panel);
        const Bf16* const pairs = gradient_pairs.data() + (o - of_panel) * even + 2 * of_panel;
        const Bf16* pointers[kTileRows];
        for (int64_t r = 0; r < count; ++r) {
          pointers[r] = pairs + 2 * r;
        }
        ahead.Some(lines);
        AddTile({.rows = pointers, .length = even, .pair_stride = 2 * kPanelOutputs}, count,
                columns, weight_gradient + o * stride + column, stride);
        o += count;
      }
    }
    for (int64_t o = 0; bias_gradient != nullptr && o < outputs; o += kPanelOutputs) {
      AddPairs(gradient_pairs.data() + o * even, even / 2, 2 * kPanelOutputs, bias_gradient + o);
    }
  }
}

HID_END_BF16_TARGET
#else

void WeightGradient(const WeightGradientBlock&, float*, int64_t, float*) {}

#endif

}  // namespace hidreamer::nn
