#ifndef HID_TARGET

#include "hidreamer/kernels/bf16_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/bf16_search.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

Bf16Search::Bf16Search(const float* centers, int64_t count, int64_t dim) {
  const int64_t padded = RoundUp(count, kPanelOutputs);
  const std::vector<float> none(static_cast<size_t>(padded),
                                std::numeric_limits<float>::infinity());
  prepared_ = {.centers = centers,
               .count = count,
               .dim = dim,
               .padded = padded,
               .panels = Bf16Matrix(count, dim),
               .norms = std::vector<float>(static_cast<size_t>(count)),
               .low = none,
               .high = none,
               .radii = std::vector<float>(none.size())};
}

void Bf16Search::Pack(int64_t first, int64_t count) { HID_DISPATCH(Pack(prepared_, first, count)); }

void Bf16Search::Find(const float* rows, int64_t n, int64_t* nearest) const {
  HID_DISPATCH(Find(prepared_, rows, n, nearest));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

float Dot(const float* a, const float* b, int64_t dim) {
  Vector sum = Zero();
  for (int64_t j = 0; j < dim; j += kLanes) {
    const Mask mask = MaskOf(dim - j);
    sum = MultiplyAdd(Load(mask, a + j), Load(mask, b + j), sum);
  }
  return SumOf(sum);
}

}  // namespace

void Pack(Bf16Search::Prepared& to, int64_t first, int64_t count) {
  for (int64_t panel = first / kPanelOutputs; panel * kPanelOutputs < first + count; ++panel) {
    to.panels.PackPanel(panel, to.centers);
  }
  // Each factor is rounded by at most 2^-9 of itself, so a sum of products, by Cauchy and Schwarz,
  // by 2^-8 |x| |c| and a little; adding up D of them in f32 moves it by D 2^-23 |x| |c| at most.
  const float error =
      0x1.02p-8F + static_cast<float>(to.dim) * 0x1p-23F + 1.01F * FixedPointError(to.dim);
  constexpr float kRounding = 0x1p-21F;  // of |c|^2 - 2 x.c itself
  for (int64_t v = first; v < first + count; ++v) {
    const auto i = static_cast<size_t>(v);
    const float* const center = to.centers + v * to.dim;
    to.norms[i] = Dot(center, center, to.dim);
    to.low[i] = to.norms[i] * (1 - kRounding);
    to.high[i] = to.norms[i] * (1 + kRounding);
    to.radii[i] = 2 * error * std::sqrt(to.norms[i]);
  }
}

void Find(const Bf16Search::Prepared& among, const float* rows, int64_t n, int64_t* nearest) {
  const int64_t tile_rows = TileRows();
  AlignedBuffer<Bf16> narrow(tile_rows * among.dim);
  AlignedBuffer<float> products(tile_rows * among.padded);  // (rows, V)
  const TileScope scope;
  TileLeft tile;
  for (int64_t first = 0; first < n; first += tile_rows) {
    const int64_t count = std::min(tile_rows, n - first);
    for (int64_t r = 0; r < count; ++r) {
      Narrow(rows + (first + r) * among.dim, among.dim, narrow.data() + r * among.dim);
    }
    tile.Take(count, {.length = among.dim},
              [&](int64_t r) { return narrow.data() + r * among.dim; });
    for (int64_t p = 0; p < among.panels.panels(); ++p) {
      tile.Multiply(among.panels.panel(p), products.data() + p * kPanelOutputs, among.padded);
    }
    for (int64_t r = 0; r < count; ++r) {
      const float* const row = rows + (first + r) * among.dim;
      const float* const of_row = products.data() + r * among.padded;
      const auto product = [&](int64_t v) { return Load(of_row + v); };
      const Vector length = Spread(std::sqrt(Dot(row, row, among.dim)));
      const Vector minus_two = Spread(-2.0F);
      Vector least = Spread(std::numeric_limits<float>::infinity());
      for (int64_t v = 0; v < among.padded; v += kLanes) {
        const Vector most =
            MultiplyAdd(minus_two, product(v), Load(&among.high[static_cast<size_t>(v)]));
        least =
            Smallest(least, MultiplyAdd(length, Load(&among.radii[static_cast<size_t>(v)]), most));
      }
      const Vector bound = Spread(SmallestOf(least));
      float best = std::numeric_limits<float>::infinity();
      int64_t found = 0;
      for (int64_t v = 0; v < among.padded; v += kLanes) {
        const Vector most =
            MultiplyAdd(minus_two, product(v), Load(&among.low[static_cast<size_t>(v)]));
        const Vector lowest =
            SubtractProduct(most, length, Load(&among.radii[static_cast<size_t>(v)]));
        for (uint32_t left = BitsOfAtMost(lowest, bound); left != 0; left &= left - 1) {
          const int64_t candidate = v + __builtin_ctz(left);
          const float distance = among.norms[static_cast<size_t>(candidate)] -
                                 2 * Dot(row, among.centers + candidate * among.dim, among.dim);
          if (distance < best) {
            best = distance;
            found = candidate;
          }
        }
      }
      nearest[first + r] = found;
    }
  }
}

}  // namespace hidreamer::kernels::HID_TARGET

#endif
