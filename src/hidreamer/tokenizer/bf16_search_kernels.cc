#include "hidreamer/tokenizer/bf16_search_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hidreamer/nn/bf16_vectors.h"

namespace hidreamer::tokenizer {

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

using nn::Bf16;
using nn::kPanelOutputs;
using nn::MaskOf;
using nn::Narrow;

constexpr int64_t kLanes = 16;

float Dot(const float* a, const float* b, int64_t dim) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < dim; j += kLanes) {
    const __mmask16 mask = MaskOf(dim - j);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + j), _mm512_maskz_loadu_ps(mask, b + j),
                          sum);
  }
  return _mm512_reduce_add_ps(sum);
}

}  // namespace

Bf16Search::Bf16Search(const float* centers, int64_t count, int64_t dim)
    : centers_(centers),
      count_(count),
      dim_(dim),
      padded_(nn::RoundUp(count, kPanelOutputs)),
      panels_(padded_ * dim),
      norms_(static_cast<size_t>(count)),
      low_(static_cast<size_t>(padded_), std::numeric_limits<float>::infinity()),
      high_(low_),
      radii_(static_cast<size_t>(padded_)) {}

void Bf16Search::Pack(int64_t first, int64_t count) {
  std::vector<Bf16> narrow(static_cast<size_t>(count * dim_));
  // Each factor is rounded by at most 2^-9 of itself, so a sum of products, by Cauchy and Schwarz,
  // by 2^-8 |x| |c| and a little; adding up D of them in f32 moves it by D 2^-23 |x| |c| at most.
  const float error = 0x1.02p-8F + static_cast<float>(dim_) * 0x1p-23F;
  constexpr float kRounding = 0x1p-21F;  // of |c|^2 - 2 x.c itself
  for (int64_t v = first; v < first + count; ++v) {
    const auto i = static_cast<size_t>(v);
    const float* const center = centers_ + v * dim_;
    Narrow(center, dim_, narrow.data() + (v - first) * dim_);
    norms_[i] = Dot(center, center, dim_);
    low_[i] = norms_[i] * (1 - kRounding);
    high_[i] = norms_[i] * (1 + kRounding);
    radii_[i] = 2 * error * std::sqrt(norms_[i]);
  }
  nn::PackAsOutputs(narrow.data(), count, dim_, dim_, panels_.data() + first * dim_);
}

void Bf16Search::Find(const float* rows, int64_t n, int64_t* nearest) const {
  const int64_t tile_rows = nn::TileRows();
  nn::AlignedBuffer<Bf16> narrow(tile_rows * dim_);
  nn::AlignedBuffer<float> products(tile_rows * padded_);  // (rows, V)
  const nn::TileScope scope;
  nn::TileLeft tile;
  for (int64_t first = 0; first < n; first += tile_rows) {
    const int64_t count = std::min(tile_rows, n - first);
    for (int64_t r = 0; r < count; ++r) {
      Narrow(rows + (first + r) * dim_, dim_, narrow.data() + r * dim_);
    }
    tile.Take(count, {.length = dim_}, [&](int64_t r) { return narrow.data() + r * dim_; });
    for (int64_t v = 0; v < padded_; v += kPanelOutputs) {
      tile.Multiply(panels_.data() + v * dim_, products.data() + v, padded_);
    }
    for (int64_t r = 0; r < count; ++r) {
      const float* const row = rows + (first + r) * dim_;
      const float* const of_row = products.data() + r * padded_;
      const auto product = [&](int64_t v) { return _mm512_loadu_ps(of_row + v); };
      const __m512 length = _mm512_set1_ps(std::sqrt(Dot(row, row, dim_)));
      const __m512 minus_two = _mm512_set1_ps(-2.0F);
      __m512 least = _mm512_set1_ps(std::numeric_limits<float>::infinity());
      for (int64_t v = 0; v < padded_; v += kLanes) {
        const __m512 most =
            _mm512_fmadd_ps(minus_two, product(v), _mm512_loadu_ps(&high_[static_cast<size_t>(v)]));
        least = _mm512_min_ps(
            least, _mm512_fmadd_ps(length, _mm512_loadu_ps(&radii_[static_cast<size_t>(v)]), most));
      }
      const __m512 bound = _mm512_set1_ps(_mm512_reduce_min_ps(least));
      float best = std::numeric_limits<float>::infinity();
      int64_t found = 0;
      for (int64_t v = 0; v < padded_; v += kLanes) {
        const __m512 most =
            _mm512_fmadd_ps(minus_two, product(v), _mm512_loadu_ps(&low_[static_cast<size_t>(v)]));
        const __m512 lowest =
            _mm512_fnmadd_ps(length, _mm512_loadu_ps(&radii_[static_cast<size_t>(v)]), most);
        for (uint32_t left = _mm512_cmp_ps_mask(lowest, bound, _CMP_LE_OQ); left != 0;
             left &= left - 1) {
          const int64_t candidate = v + __builtin_ctz(left);
          const float distance = norms_[static_cast<size_t>(candidate)] -
                                 2 * Dot(row, centers_ + candidate * dim_, dim_);
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

HID_END_BF16_TARGET
#else

Bf16Search::Bf16Search(const float* centers, int64_t count, int64_t dim)
    : centers_(centers), count_(count), dim_(dim), padded_(count) {}
void Bf16Search::Pack(int64_t, int64_t) {}
void Bf16Search::Find(const float*, int64_t, int64_t*) const {}

#endif

}  // namespace hidreamer::tokenizer
