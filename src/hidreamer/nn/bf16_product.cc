#include "hidreamer/nn/bf16_product.h"

#include <algorithm>
#include <utility>

#include "hidreamer/nn/bf16_vectors.h"

#ifdef HID_BF16_KERNELS
#include <cpuid.h>
#endif

namespace hidreamer::nn {

Bf16Matrix::Bf16Matrix(int64_t outputs, int64_t inner)
    : outputs_(outputs),
      inner_(inner),
      packed_(static_cast<size_t>(panels() * kPanelOutputs * inner)) {}

Bf16Matrix::Bf16Matrix(const float* weight, int64_t outputs, int64_t inner)
    : Bf16Matrix(outputs, inner) {
  for (int64_t p = 0; p < panels(); ++p) {
    PackPanel(p, weight);
  }
}

#ifdef HID_BF16_KERNELS

bool HasBf16Kernels() {
  static const bool has = __builtin_cpu_supports("avx512bf16") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has;
}

bool HasMatrixUnits() {  // gcc 12's __builtin_cpu_supports does not know them
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    constexpr unsigned kAmxBf16 = 1u << 22;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmxBf16) != 0;
  }();
  return has;
}

HID_BEGIN_BF16_TARGET

namespace {

// 2 x 12 sums, 2 weights and a pair of the row fit the 32 registers; 24 multiply-adds go with 14
// loads.
enum class TileKind {
  kPlain,
  kFetching,  // of a panel that comes from memory
  kAdding     // to what `out` holds, of columns that lie apart
};
constexpr int64_t kAhead = 4096;  // how far in front a panel is fetched
template <TileKind kKind, int kRows>
void Tile(const Bf16Rows& left, const Bf16Columns& right, float* out, int64_t out_stride) {
  constexpr int64_t kHalf = kPanelOutputs / 2;
  const bool adding = kKind == TileKind::kAdding;
  const int64_t right_step = adding ? right.step : 2 * kPanelOutputs;
  if (!adding) {
    out_stride = kPanelOutputs;
  }
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    sums[r][0] = adding ? _mm512_loadu_ps(out + r * out_stride) : _mm512_setzero_ps();
    sums[r][1] = adding ? _mm512_loadu_ps(out + r * out_stride + kHalf) : _mm512_setzero_ps();
  }
  const Bf16* panel = right.first;
  for (int64_t s = 0; s < left.segments; ++s) {
    if (adding) {
      panel = right.first + s * right.segment_stride;
    }
    const Bf16* rows[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      rows[r] = left.rows[r] + s * left.segment_stride;
    }
    const int64_t step = left.pair_stride, end = left.length / 2 * step;
    for (int64_t k = 0; k < end; k += step, panel += right_step) {
      if constexpr (kKind == TileKind::kFetching) {
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead + kPanelOutputs), _MM_HINT_T0);
      }
      const auto first = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel));
      const auto second = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + kPanelOutputs));
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        int32_t pair;
        __builtin_memcpy(&pair, rows[r] + k, sizeof(pair));
        const auto spread = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], spread, first);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], spread, second);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    _mm512_storeu_ps(out + r * out_stride, sums[r][0]);
    _mm512_storeu_ps(out + r * out_stride + kHalf, sums[r][1]);
  }
}

using TileFunction = void (*)(const Bf16Rows&, const Bf16Columns&, float*, int64_t);

template <TileKind kKind, size_t... kCounts>
constexpr auto TilesOf(std::index_sequence<kCounts...> /*counts*/) {
  struct Table {
    TileFunction by_rows[sizeof...(kCounts)];
  };
  return Table{{Tile<kKind, static_cast<int>(kCounts + 1)>...}};
}

template <TileKind kKind>
void MultiplyTileOf(const Bf16Rows& rows, int64_t count, const Bf16Columns& columns, float* out,
                    int64_t out_stride) {
  static constexpr auto kTiles = TilesOf<kKind>(std::make_index_sequence<kTileRows>());
  kTiles.by_rows[count - 1](rows, columns, out, out_stride);
}

}  // namespace

void MultiplyTile(const Bf16Rows& rows, int64_t count, const Bf16* panel, float* out) {
  MultiplyTileOf<TileKind::kPlain>(rows, count, {.first = panel}, out, kPanelOutputs);
}

void MultiplyTileAndFetch(const Bf16Rows& rows, int64_t count, const Bf16* panel, float* out) {
  MultiplyTileOf<TileKind::kFetching>(rows, count, {.first = panel}, out, kPanelOutputs);
}

void AddTile(const Bf16Rows& rows, int64_t count, const Bf16Columns& columns, float* out,
             int64_t out_stride) {
  MultiplyTileOf<TileKind::kAdding>(rows, count, columns, out, out_stride);
}

void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed) {
  constexpr int64_t kBlock = 16;  // rows of x, and pairs of numbers
  for (int64_t first = 0; first < n; first += kPanelOutputs, packed += kPanelOutputs * d) {
    for (int64_t j = 0; j < kPanelOutputs; j += kBlock) {
      for (int64_t pair = 0; pair < d / 2; pair += kBlock) {
        const int64_t count = std::min(kBlock, d / 2 - pair);
        const __mmask16 mask = MaskOf(count);
        __m512i block[kBlock];
        for (int64_t i = 0; i < kBlock; ++i) {
          const int64_t row = first + j + i;
          block[i] = row < n ? _mm512_maskz_loadu_epi32(mask, x + row * stride + 2 * pair)
                             : _mm512_setzero_si512();
        }
        Transpose(block);
        for (int64_t i = 0; i < count; ++i) {
          _mm512_storeu_si512(packed + (pair + i) * 2 * kPanelOutputs + 2 * j, block[i]);
        }
      }
    }
  }
}

void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed) {
  const int64_t even = (n + 1) / 2 * 2;
  for (int64_t i = 0; i < n; i += 2) {
    for (int64_t column = 0; column < d; column += kPanelOutputs) {
      const Bf16* const row = x + i * stride + column;
      StoreAsPairs(row, i + 1 < n ? row + stride : nullptr,
                   packed + column * even + i * kPanelOutputs);
    }
  }
}

void Bf16Matrix::PackPanel(int64_t index, const float* weight) {
  const int64_t first = index * kPanelOutputs, count = std::min(kPanelOutputs, outputs_ - first);
  std::vector<Bf16> narrow(static_cast<size_t>(count * inner_));
  Narrow(weight + first * inner_, count * inner_, narrow.data());
  PackAsOutputs(narrow.data(), count, inner_, inner_, packed_.data() + first * inner_);
}

void Bf16Matrix::PackPanelTransposed(int64_t index, const float* weight) {
  const int64_t first = index * kPanelOutputs;
  std::vector<Bf16> narrow(static_cast<size_t>(kPanelOutputs * inner_));
  for (int64_t i = 0; i < inner_; ++i) {
    Narrow(weight + i * outputs_ + first, kPanelOutputs, narrow.data() + i * kPanelOutputs);
  }
  PackAsInner(narrow.data(), inner_, kPanelOutputs, kPanelOutputs, packed_.data() + first * inner_);
}

void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out) {
  constexpr int64_t kHalf = kPanelOutputs / 2;
  MultiplyRows(
      x, rows, matrix.inner(), matrix, part,
      [&](int64_t first, int64_t count, int64_t column, int64_t outputs, const float* tile) {
        const auto mask = static_cast<__mmask32>((uint64_t{1} << outputs) - 1);
        const auto shift = [&](int64_t from) {
          return bias == nullptr ? _mm512_setzero_ps()
                                 : _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> from),
                                                         bias + column + from);
        };
        const __m512 low = shift(0), high = shift(kHalf);
        for (int64_t r = 0; r < count; ++r) {
          const float* const sums = tile + r * kPanelOutputs;
          const __m512bh rounded =
              _mm512_cvtne2ps_pbh(_mm512_add_ps(_mm512_loadu_ps(sums + kHalf), high),
                                  _mm512_add_ps(_mm512_loadu_ps(sums), low));
          _mm512_mask_storeu_epi16(out + (first + r) * matrix.outputs() + column, mask,
                                   reinterpret_cast<__m512i>(rounded));
        }
      });
}

HID_END_BF16_TARGET

#else

bool HasBf16Kernels() { return false; }
bool HasMatrixUnits() { return false; }

void MultiplyTile(const Bf16Rows&, int64_t, const Bf16*, float*) {}
void MultiplyTileAndFetch(const Bf16Rows&, int64_t, const Bf16*, float*) {}
void AddTile(const Bf16Rows&, int64_t, const Bf16Columns&, float*, int64_t) {}
void PackAsOutputs(const Bf16*, int64_t, int64_t, int64_t, Bf16*) {}
void PackAsInner(const Bf16*, int64_t, int64_t, int64_t, Bf16*) {}
void Bf16Matrix::PackPanel(int64_t, const float*) {}
void Bf16Matrix::PackPanelTransposed(int64_t, const float*) {}
void LinearRows(const Bf16*, int64_t, const Bf16Matrix&, const float*, Part, Bf16*) {}

#endif

}  // namespace hidreamer::nn
