#ifndef HID_TARGET

#include "hidreamer/nn/bf16_product.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/bf16_vectors.h"
#include "hidreamer/nn/matrix_units.h"

#ifdef HID_BF16_KERNELS
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace hidreamer::nn {

void NoBf16Kernels() {
  throw Error(Error::Kind::kInternal, "kernels for bf16 numbers called where there are none");
}

namespace {

#ifdef HID_BF16_KERNELS

Bf16Kernels FindKernels() {
  const char* const wish = std::getenv("HIDREAMER_KERNELS");
  const std::string_view name = wish == nullptr ? "" : wish;
  if (name == "off" || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    return Bf16Kernels::kNone;
  }
  const bool has_avx512 = __builtin_cpu_supports("avx512bf16") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has_avx512 && name != "avx2" ? Bf16Kernels::kAvx512 : Bf16Kernels::kAvx2;
}

enum class Units { kNone, kAmx, kEmulated };

// Linux lets a process use the units' 8 kB a thread when it asks for them.
bool MayUseAmx() {
#ifdef __linux__
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24;
  constexpr unsigned long kRequestPermission = 0x1023, kTileData = 18;
  // gcc 12's __builtin_cpu_supports does not know them.
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kBf16) != 0 &&
         (edx & kTiles) != 0 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Units FindUnits() {
  const char* const wish = std::getenv("HIDREAMER_MATRIX_UNITS");
  const std::string_view name = wish == nullptr ? "" : wish;
  if (!HasBf16Kernels() || name == "off") {
    return Units::kNone;
  }
  if (name == "emulated") {
    return Units::kEmulated;
  }
  return Bf16KernelsHere() == Bf16Kernels::kAvx512 && MayUseAmx() ? Units::kAmx : Units::kNone;
}

Units UnitsHere() {
  static const Units units = FindUnits();
  return units;
}

// work(the units that there are)
template <class Work>
void WithUnits(const Work& work) {
  if (UnitsHere() == Units::kAmx) {
    work(AmxUnits{});
  } else {
    work(EmulatedUnits{});
  }
}

// The pairs of a part of the sum that this thread's tiles are set up for; 0: not set up.
thread_local int64_t tile_pairs = 0;

#endif

constexpr int64_t kVectorTileRows = 12;  // of a tile without matrix units
enum class TileKind {
  kPlain,
  kFetching,  // of a panel that comes from memory
  kAdding     // to what `out` holds, of columns that lie apart
};
// Of a unit's tile.
constexpr int64_t kUnitRows = 16;
constexpr int64_t kRowNumbers = 2 * kUnitRows;

}  // namespace

#ifdef HID_BF16_KERNELS
Bf16Kernels Bf16KernelsHere() {
  static const Bf16Kernels kernels = FindKernels();
  return kernels;
}
bool HasMatrixUnits() { return UnitsHere() != Units::kNone; }
#else
Bf16Kernels Bf16KernelsHere() { return Bf16Kernels::kNone; }
bool HasMatrixUnits() { return false; }
#endif

}  // namespace hidreamer::nn

#define HID_KERNELS "hidreamer/nn/bf16_product.cc"
#include "hidreamer/nn/each_target.h"

namespace hidreamer::nn {

Bf16Matrix::Bf16Matrix(int64_t outputs, int64_t inner)
    : outputs_(outputs), inner_(inner), packed_(panels() * kPanelOutputs * inner) {}

Bf16Matrix::Bf16Matrix(const float* weight, int64_t outputs, int64_t inner)
    : Bf16Matrix(outputs, inner) {
  for (int64_t p = 0; p < panels(); ++p) {
    PackPanel(p, weight);
  }
}

void Bf16Matrix::PackPanel(int64_t index, const float* weight) {
  const int64_t first = index * kPanelOutputs, count = std::min(kPanelOutputs, outputs_ - first);
  Bf16* const to = packed_.data() + first * inner_;
  HID_DISPATCH(PackPairs(weight + first * inner_, count, inner_, to));
}

void Bf16Matrix::PackPanelTransposed(int64_t index, const float* weight) {
  const int64_t first = index * kPanelOutputs;
  Bf16* const to = packed_.data() + first * inner_;
  HID_DISPATCH(PackPairsTransposed(weight + first, outputs_, inner_, to));
}

void TileRight::Take(const Bf16Matrix& matrix, int64_t first, int64_t count, int64_t tiles) {
  constexpr int64_t kFewestTiles = 4;  // that pay for it
  matrix_ = &matrix;
  first_ = first;
  is_wide_ = WantsWide() && tiles >= kFewestTiles;
  if (is_wide_) {
    const int64_t numbers = count * kPanelOutputs * matrix.inner();
    HID_DISPATCH(WidenPairs(matrix.panel(first).first, numbers, wide_.Room(numbers)));
  }
}

int64_t TileRows() { return HasMatrixUnits() ? kMostTileRows : kVectorTileRows; }
int64_t TileInner() { return HasMatrixUnits() ? 32 : 2; }

#ifdef HID_BF16_KERNELS
TileScope::TileScope() { tile_pairs = 0; }
TileScope::~TileScope() {
  if (tile_pairs > 0) {
    WithUnits([](auto units) { units.Release(); });
    tile_pairs = 0;
  }
}
#else
TileScope::TileScope() = default;
TileScope::~TileScope() = default;
#endif

void TileLeft::PlaceTiles() {
  const int64_t of_segment = parts_.row.length / 2;
  parts_.tiles.pairs = std::min<int64_t>(kUnitRows, of_segment);
  while (of_segment % parts_.tiles.pairs != 0) {
    --parts_.tiles.pairs;
  }
  if (parts_.row.row_stride == 0) {
    const int64_t parts = parts_.row.length / (2 * parts_.tiles.pairs);
    const int64_t rounded = parts_.count > kUnitRows ? 2 * kUnitRows : kUnitRows;
    Bf16* const to = copied_.Room(parts_.row.segments * parts * rounded * kRowNumbers);
    parts_.tiles = {.first = to,
                    .row_stride = kRowNumbers,
                    .part_stride = rounded * kRowNumbers,
                    .segment_stride = parts * rounded * kRowNumbers,
                    .below = kUnitRows * kRowNumbers,
                    .pairs = parts_.tiles.pairs};
    HID_DISPATCH(CopyToTiles(parts_, to));
    return;
  }
  parts_.tiles.first = parts_.rows[0];
  parts_.tiles.row_stride = parts_.row.row_stride;
  parts_.tiles.part_stride = 2 * parts_.tiles.pairs;
  parts_.tiles.segment_stride = parts_.row.segment_stride;
  parts_.tiles.below = kUnitRows * parts_.row.row_stride;
}

void TileLeft::Widen() {
  constexpr int64_t kTransposed = 4;  // rows at once
  const int64_t rows = RoundUp(parts_.count, kTransposed);
  float* const to = widened_.Room(rows * parts_.row.segments * parts_.row.length);
  parts_.wide = {.first = to, .rows = rows};
  HID_DISPATCH(Widen(parts_, to));
}

void TileLeft::Multiply(const Bf16Columns& panel, float* out, int64_t out_stride) const {
  if (in_tiles_) {
    HID_DISPATCH(MultiplyByUnits<false>({parts_, panel, out, out_stride}));
  } else {
    HID_DISPATCH(MultiplyTile<TileKind::kPlain>(parts_, panel, out, out_stride));
  }
}

void TileLeft::MultiplyBeside(const Beside& beside, const Bf16Columns& panel, float* out) const {
  if (in_tiles_) {
    HID_DISPATCH(MultiplyByUnits<false>({parts_, panel, out, kPanelOutputs, beside}));
    return;
  }
  beside.some(beside.work);
  if (beside.fetches) {
    HID_DISPATCH(MultiplyTile<TileKind::kFetching>(parts_, panel, out, kPanelOutputs));
  } else {
    HID_DISPATCH(MultiplyTile<TileKind::kPlain>(parts_, panel, out, kPanelOutputs));
  }
}

void TileLeft::AddTo(const Bf16Columns& columns, float* out, int64_t out_stride) const {
  if (!in_tiles_) {
    HID_DISPATCH(MultiplyTile<TileKind::kAdding>(parts_, columns, out, out_stride));
    return;
  }
  if (parts_.count % kUnitRows == 0) {
    HID_DISPATCH(MultiplyByUnits<true>({parts_, columns, out, out_stride}));
    return;
  }
  // Whole tiles would reach beyond the rows.
  alignas(64) float whole[kMostTileRows * kPanelOutputs] = {};
  for (int64_t r = 0; r < parts_.count; ++r) {
    std::copy_n(out + r * out_stride, kPanelOutputs, whole + r * kPanelOutputs);
  }
  HID_DISPATCH(MultiplyByUnits<true>({parts_, columns, whole, kPanelOutputs}));
  for (int64_t r = 0; r < parts_.count; ++r) {
    std::copy_n(whole + r * kPanelOutputs, kPanelOutputs, out + r * out_stride);
  }
}

void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed) {
  HID_DISPATCH(PackAsOutputs(x, n, d, stride, packed));
}

void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed,
                 int64_t multiple) {
  HID_DISPATCH(PackAsInner(x, n, d, stride, packed, multiple));
}

void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out) {
  HID_DISPATCH(LinearRows(x, rows, matrix, bias, part, out));
}

}  // namespace hidreamer::nn

#else

namespace hidreamer::nn::HID_TARGET {
namespace {

constexpr int64_t kAhead = 4096;  // how far in front a panel is fetched
#ifdef HID_AVX512
// 2 x 12 sums, 2 weights and a pair of the row fit the 32 registers; 24 multiply-adds go with 14
// loads.
constexpr int64_t kMostRows = kVectorTileRows;
template <TileKind kKind, int kRows, bool /*wide*/>
void Tile(const TileLeft::Parts& of, int64_t /*first*/, const Bf16Columns& right, float* out,
          int64_t out_stride) {
  const Bf16Row& left = of.row;
  constexpr int64_t kHalf = kPanelOutputs / 2;
  const bool adding = kKind == TileKind::kAdding;
  const int64_t right_step = adding ? right.step : 2 * kPanelOutputs;
  Vector sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    sums[r][0] = adding ? Load(out + r * out_stride) : Zero();
    sums[r][1] = adding ? Load(out + r * out_stride + kHalf) : Zero();
  }
  const Bf16* panel = right.first;
  for (int64_t s = 0; s < left.segments; ++s) {
    if (adding) {
      panel = right.first + s * right.segment_stride;
    }
    const Bf16* rows[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      rows[r] = of.rows[static_cast<size_t>(r)] + s * left.segment_stride;
    }
    const int64_t step = left.pair_stride, end = left.length / 2 * step;
    for (int64_t k = 0; k < end; k += step, panel += right_step) {
      if constexpr (kKind == TileKind::kFetching) {
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead + kPanelOutputs), _MM_HINT_T0);
      }
      const auto first = reinterpret_cast<__m512bh>(LoadBits(panel));
      const auto second = reinterpret_cast<__m512bh>(LoadBits(panel + kPanelOutputs));
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const Pair pair = SpreadPair(rows[r] + k);
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], pair, first);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], pair, second);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    Store(out + r * out_stride, sums[r][0]);
    Store(out + r * out_stride + kHalf, sums[r][1]);
  }
}
#else
// 6 rows by 16 outputs, or 2 by 32: 12 sums, 2 weights and a number of the row fit the 16
// registers.
constexpr int64_t kMostRows = 6;
template <TileKind kKind, int kRows, bool kWide>
void Tile(const TileLeft::Parts& of, int64_t first, const Bf16Columns& right, float* out,
          int64_t out_stride) {
  constexpr int kVectors = kRows <= 2 ? 4 : 2, kVectorOutputs = 8;  // beside each other
  const bool adding = kKind == TileKind::kAdding;
  const int64_t right_step = adding && !kWide ? right.step : 2 * kPanelOutputs;
  const int64_t pairs = of.row.length / 2, left_step = 2 * of.wide.rows;
  for (int64_t column = 0; column < kPanelOutputs; column += kVectors * kVectorOutputs) {
    __m256 sums[kRows][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = adding ? _mm256_loadu_ps(out + r * out_stride + column + v * kVectorOutputs)
                            : _mm256_setzero_ps();
      }
    }
    const float* left = of.wide.first + 2 * first;
    const float* wide = right.wide + column;
    const Bf16* narrow = right.first + 2 * column;
    for (int64_t s = 0; s < of.row.segments; ++s) {
      if (adding && !kWide) {
        narrow = right.first + s * right.segment_stride + 2 * column;
      }
      for (const float* const end = left + pairs * left_step; left != end; left += left_step) {
        if constexpr (kKind == TileKind::kFetching) {
          _mm_prefetch(reinterpret_cast<const char*>(narrow + kAhead), _MM_HINT_T0);
        }
        // Of pairs first all even numbers, then all odd ones.
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
          __m256 numbers[kVectors];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) {
            if constexpr (kWide) {
              numbers[v] = _mm256_loadu_ps(wide + i * kPanelOutputs + v * kVectorOutputs);
            } else {
              const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(narrow) + v);
              numbers[v] = i == 0 ? EvenOf(both) : OddOf(both);
            }
          }
#pragma GCC unroll 6
          for (int r = 0; r < kRows; ++r) {
            const __m256 number = _mm256_broadcast_ss(left + 2 * r + i);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
              sums[r][v] = _mm256_fmadd_ps(number, numbers[v], sums[r][v]);
            }
          }
        }
        wide += kWide ? right_step : 0;
        narrow += kWide ? 0 : right_step;
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        _mm256_storeu_ps(out + r * out_stride + column + v * kVectorOutputs, sums[r][v]);
      }
    }
  }
}
#endif

using TileFunction = void (*)(const TileLeft::Parts&, int64_t, const Bf16Columns&, float*, int64_t);

template <TileKind kKind, bool kWide, size_t... kCounts>
constexpr auto TilesOf(std::index_sequence<kCounts...> /*counts*/) {
  struct Table {
    TileFunction by_rows[sizeof...(kCounts)];
  };
  return Table{{Tile<kKind, static_cast<int>(kCounts + 1), kWide>...}};
}

template <TileKind kKind, bool kWide>
void MultiplyTile(const TileLeft::Parts& left, const Bf16Columns& columns, float* out,
                  int64_t out_stride) {
  static constexpr auto kTiles = TilesOf<kKind, kWide>(std::make_index_sequence<kMostRows>());
  const int64_t parts = (left.count + kMostRows - 1) / kMostRows;
  for (int64_t i = 0; i < parts; ++i) {
    const Part part{i, parts};
    const int64_t first = part.Begin(left.count), rows = part.End(left.count) - first;
    kTiles.by_rows[rows - 1](left, first, columns, out + first * out_stride, out_stride);
  }
}

}  // namespace

template <TileKind kKind>
void MultiplyTile(const TileLeft::Parts& left, const Bf16Columns& columns, float* out,
                  int64_t out_stride) {
#ifndef HID_AVX512
  if (columns.wide != nullptr) {  // just made ready: nothing to be fetched
    constexpr TileKind kOfWide = kKind == TileKind::kFetching ? TileKind::kPlain : kKind;
    return MultiplyTile<kOfWide, true>(left, columns, out, out_stride);
  }
#endif
  MultiplyTile<kKind, false>(left, columns, out, out_stride);
}

// Panels of pairs -> the same as f32, (k, 32).
void WidenPairs(const Bf16* pairs, int64_t numbers, float* to) {
  constexpr int64_t kRow = 2 * kPanelOutputs;
  for (int64_t i = 0; i < numbers; i += kRow) {
    for (int64_t j = 0; j < kPanelOutputs; j += kLanes) {
      const Bits both = LoadBits(pairs + i + 2 * j);
      Store(to + i + j, FromHalves(both));
      Store(to + i + kPanelOutputs + j, FromHalves(ShiftRight<16>(both)));
    }
  }
}

// The rows of a tile as TileLeft::Wide says; rows behind the last are the last again. The other set
// of instructions has no use for it.
#ifdef HID_AVX512
void Widen(const TileLeft::Parts& /*left*/, float* /*to*/) {}
#else
void Widen(const TileLeft::Parts& left, float* to) {
  constexpr int64_t kBeside = 4, kNumbers = 8;  // 4 rows of 4 pairs
  const Bf16Row& row = left.row;
  const int64_t step = 2 * left.wide.rows;
  for (int64_t s = 0; s < row.segments; ++s, to += row.length / 2 * step) {
    const int64_t offset = s * row.segment_stride;
    if (row.pair_stride != 2) {  // the numbers of a pair lie side by side already
      for (int64_t pair = 0; pair < row.length / 2; ++pair) {
        const Bf16* const from = left.rows[0] + offset + pair * row.pair_stride;
        for (int64_t i = 0; i < 2 * left.count; i += kNumbers) {
          const int64_t numbers = std::min(kNumbers, 2 * left.count - i);
          __m128i halves = _mm_setzero_si128();
          if (numbers == kNumbers) {
            halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
          } else {
            __builtin_memcpy(&halves, from + i, static_cast<size_t>(numbers) * sizeof(Bf16));
          }
          _mm256_storeu_ps(to + pair * step + i, EvenOf(_mm256_cvtepu16_epi32(halves)));
        }
      }
      continue;
    }
    for (int64_t r = 0; r < left.count; r += kBeside) {
      const Bf16* from[kBeside];
      for (int64_t i = 0; i < kBeside; ++i) {
        from[i] = left.rows[static_cast<size_t>(std::min(r + i, left.count - 1))] + offset;
      }
      int64_t k = 0;
      for (; k + kNumbers <= row.length; k += kNumbers) {
        __m256d rows[kBeside];
        for (int64_t i = 0; i < kBeside; ++i) {
          rows[i] = _mm256_castps_pd(EvenOf(_mm256_cvtepu16_epi32(
              _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[i] + k)))));
        }
        // A pair is 64 bits: 4 x 4 of them.
        const __m256d low[] = {_mm256_unpacklo_pd(rows[0], rows[1]),
                               _mm256_unpackhi_pd(rows[0], rows[1])};
        const __m256d high[] = {_mm256_unpacklo_pd(rows[2], rows[3]),
                                _mm256_unpackhi_pd(rows[2], rows[3])};
        const auto store = [&](int64_t pair, __m256d numbers) {
          _mm256_storeu_ps(to + (k / 2 + pair) * step + 2 * r, _mm256_castpd_ps(numbers));
        };
        for (int64_t pair = 0; pair < 2; ++pair) {
          store(pair, _mm256_permute2f128_pd(low[pair], high[pair], 0x20));
          store(pair + 2, _mm256_permute2f128_pd(low[pair], high[pair], 0x31));
        }
      }
      for (; k < row.length; ++k) {
        for (int64_t i = 0; i < kBeside; ++i) {
          to[k / 2 * step + 2 * (r + i) + k % 2] = FromBf16(from[i][k]);
        }
      }
    }
  }
}
#endif

// The same by matrix units: 16 or 32 rows in tiles, so that four sums use each tile twice.
struct UnitsWork {
  const TileLeft::Parts& left;
  const Bf16Columns& right;
  float* out;
  int64_t out_stride;
  TileLeft::Beside beside = {};
};
template <bool kAdds, bool kTwo, class U>
void MultiplyByUnits(const UnitsWork& work) {
  constexpr int64_t kHalf = kPanelOutputs / 2, kNumberBytes = sizeof(Bf16);
  const Bf16Row& row = work.left.row;
  const TileLeft::Tiles& left = work.left.tiles;
  const int64_t left_bytes = left.row_stride * kNumberBytes;
  const int64_t right_step = kAdds ? work.right.step : 2 * kPanelOutputs;
  const int64_t out_bytes = work.out_stride * static_cast<int64_t>(sizeof(float));
  float* const out = work.out;
  float* const below = out + kUnitRows * work.out_stride;
  if constexpr (kAdds) {
    U::template Load<0>(out, out_bytes);
    U::template Load<1>(out + kHalf, out_bytes);
    if constexpr (kTwo) {
      U::template Load<2>(below, out_bytes);
      U::template Load<3>(below + kHalf, out_bytes);
    }
  } else {
    U::template Zero<0>();
    U::template Zero<1>();
    if constexpr (kTwo) {
      U::template Zero<2>();
      U::template Zero<3>();
    }
  }
  const int64_t parts = row.length / (2 * left.pairs);
  const Bf16* at = work.right.first;
  for (int64_t s = 0; s < row.segments; ++s) {
    if constexpr (kAdds) {
      at = work.right.first + s * work.right.segment_stride;
    }
    const Bf16* rows = left.first + s * left.segment_stride;
    for (int64_t part = 0; part < parts; ++part, at += left.pairs * right_step) {
      U::template Load<6>(at, right_step * kNumberBytes);
      U::template Load<4>(rows, left_bytes);
      U::template MultiplyAdd<0, 4, 6>();
      U::template Load<7>(at + kPanelOutputs, right_step * kNumberBytes);
      U::template MultiplyAdd<1, 4, 7>();
      if constexpr (kTwo) {
        U::template Load<5>(rows + left.below, left_bytes);
        U::template MultiplyAdd<2, 5, 6>();
        U::template MultiplyAdd<3, 5, 7>();
      }
      rows += left.part_stride;
      if constexpr (!kAdds) {
        if (work.beside.fetches) {
          constexpr int64_t kUnitsAhead = 8192;
          for (int64_t i = 0; i < left.pairs * right_step; i += kPanelOutputs) {
            _mm_prefetch(reinterpret_cast<const char*>(at + kUnitsAhead + i), _MM_HINT_T1);
          }
        }
        if (work.beside.some != nullptr) {
          work.beside.some(work.beside.work);
        }
      }
    }
  }
  U::template Store<0>(out, out_bytes);
  U::template Store<1>(out + kHalf, out_bytes);
  if constexpr (kTwo) {
    U::template Store<2>(below, out_bytes);
    U::template Store<3>(below + kHalf, out_bytes);
  }
}

template <bool kAdds>
void MultiplyByUnits(const UnitsWork& work) {
  WithUnits([&](auto units) {
    using U = decltype(units);
    if (const int64_t pairs = work.left.tiles.pairs; tile_pairs != pairs) {
      U::Configure(pairs);
      tile_pairs = pairs;
    }
    if (work.left.count > kUnitRows) {
      MultiplyByUnits<kAdds, true, U>(work);
    } else {
      MultiplyByUnits<kAdds, false, U>(work);
    }
  });
}

// The rows of a tile as units read them, (parts of the sum, 16 or 32 rows, 32), zeros behind them.
void CopyToTiles(const TileLeft::Parts& left, Bf16* to) {
  const int64_t pairs = left.tiles.pairs, parts = left.row.length / (2 * pairs);
  const int64_t rounded = left.count > kUnitRows ? 2 * kUnitRows : kUnitRows;
  const Mask of_part = MaskOf(pairs);
  for (int64_t s = 0; s < left.row.segments; ++s) {
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t offset = s * left.row.segment_stride + part * pairs * left.row.pair_stride;
      if (left.row.pair_stride == 2) {
        for (int64_t r = 0; r < rounded; ++r, to += kRowNumbers) {
          StoreBits(to, r < left.count
                            ? LoadBits(of_part, left.rows[static_cast<size_t>(r)] + offset)
                            : NoBits());
        }
        continue;
      }
      for (int64_t first = 0; first < rounded; first += kUnitRows) {
        const Mask of_rows = MaskOf(left.count - first);
        Bits block[kUnitRows];
        for (int64_t i = 0; i < kUnitRows; ++i) {
          block[i] = i < pairs ? LoadBits(of_rows, left.rows[static_cast<size_t>(first)] + offset +
                                                       i * left.row.pair_stride)
                               : NoBits();
        }
        Transpose(block);
        for (int64_t i = 0; i < kUnitRows; ++i, to += kRowNumbers) {
          StoreBits(to, block[i]);
        }
      }
    }
  }
}

void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed) {
  constexpr int64_t kBlock = 16;  // rows of x, and pairs of numbers
  for (int64_t first = 0; first < n; first += kPanelOutputs, packed += kPanelOutputs * d) {
    for (int64_t j = 0; j < kPanelOutputs; j += kBlock) {
      for (int64_t pair = 0; pair < d / 2; pair += kBlock) {
        const int64_t count = std::min(kBlock, d / 2 - pair);
        const Mask mask = MaskOf(count);
        Bits block[kBlock];
        for (int64_t i = 0; i < kBlock; ++i) {
          const int64_t row = first + j + i;
          block[i] = row < n ? LoadBits(mask, x + row * stride + 2 * pair) : NoBits();
        }
        Transpose(block);
        for (int64_t i = 0; i < count; ++i) {
          StoreBits(packed + (pair + i) * 2 * kPanelOutputs + 2 * j, block[i]);
        }
      }
    }
  }
}

void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed,
                 int64_t multiple) {
  const int64_t padded = RoundUp(n, multiple);
  for (int64_t i = 0; i < n; i += 2) {
    for (int64_t column = 0; column < d; column += kPanelOutputs) {
      const Bf16* const row = x + i * stride + column;
      StoreAsPairs(row, i + 1 < n ? row + stride : nullptr,
                   packed + column * padded + i * kPanelOutputs);
    }
  }
  const int64_t even = RoundUp(n, 2);
  for (int64_t column = 0; column < d && even < padded; column += kPanelOutputs) {
    std::fill_n(packed + column * padded + even * kPanelOutputs, (padded - even) * kPanelOutputs,
                Bf16{0});
  }
}

// weight (count, inner) f32 -> a panel of pairs.
void PackPairs(const float* weight, int64_t count, int64_t inner, Bf16* packed) {
  std::vector<Bf16> narrow(static_cast<size_t>(count * inner));
  Narrow(weight, count * inner, narrow.data());
  PackAsOutputs(narrow.data(), count, inner, inner, packed);
}

// weight (inner, 32 and more), rows `stride` apart -> a panel of pairs.
void PackPairsTransposed(const float* weight, int64_t stride, int64_t inner, Bf16* packed) {
  std::vector<Bf16> narrow(static_cast<size_t>(kPanelOutputs * inner));
  for (int64_t i = 0; i < inner; ++i) {
    Narrow(weight + i * stride, kPanelOutputs, narrow.data() + i * kPanelOutputs);
  }
  PackAsInner(narrow.data(), inner, kPanelOutputs, kPanelOutputs, packed, 2);
}

void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out) {
  constexpr int64_t kHalf = kPanelOutputs / 2;
  MultiplyRows(
      x, rows, matrix.inner(), matrix, part,
      [&](int64_t first, int64_t count, int64_t column, int64_t outputs, const float* tile) {
        const auto shift = [&](int64_t from) {
          return bias == nullptr ? Zero() : Load(MaskOf(outputs - from), bias + column + from);
        };
        const Vector low = shift(0), high = shift(kHalf);
        for (int64_t r = 0; r < count; ++r) {
          const float* const sums = tile + r * kPanelOutputs;
          const Bits rounded = Rounded(Load(sums) + low, Load(sums + kHalf) + high);
          Bf16* const to = out + (first + r) * matrix.outputs() + column;
          if (outputs == kPanelOutputs) {
            StoreBits(to, rounded);
          } else {
            StoreNumbers(to, outputs, rounded);
          }
        }
      });
}

}  // namespace hidreamer::nn::HID_TARGET

#endif
