#include "hidreamer/nn/bf16_product.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

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

Bf16Matrix::Bf16Matrix(int64_t outputs, int64_t inner)
    : outputs_(outputs), inner_(inner), packed_(panels() * kPanelOutputs * inner) {}

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

namespace {

constexpr int64_t kVectorTileRows = 12;  // of a tile without matrix units

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
  return name == "emulated" ? Units::kEmulated : MayUseAmx() ? Units::kAmx : Units::kNone;
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

}  // namespace

bool HasMatrixUnits() { return UnitsHere() != Units::kNone; }
int64_t TileRows() { return HasMatrixUnits() ? kMostTileRows : kVectorTileRows; }
int64_t TileInner() { return HasMatrixUnits() ? 32 : 2; }

TileScope::TileScope() { tile_pairs = 0; }

TileScope::~TileScope() {
  if (tile_pairs > 0) {
    WithUnits([](auto units) { units.Release(); });
    tile_pairs = 0;
  }
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
void Tile(const Bf16* const* left_rows, const Bf16Row& left, const Bf16Columns& right, float* out,
          int64_t out_stride) {
  constexpr int64_t kHalf = kPanelOutputs / 2;
  const bool adding = kKind == TileKind::kAdding;
  const int64_t right_step = adding ? right.step : 2 * kPanelOutputs;
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
      rows[r] = left_rows[r] + s * left.segment_stride;
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

using TileFunction = void (*)(const Bf16* const*, const Bf16Row&, const Bf16Columns&, float*,
                              int64_t);

template <TileKind kKind, size_t... kCounts>
constexpr auto TilesOf(std::index_sequence<kCounts...> /*counts*/) {
  struct Table {
    TileFunction by_rows[sizeof...(kCounts)];
  };
  return Table{{Tile<kKind, static_cast<int>(kCounts + 1)>...}};
}

template <TileKind kKind>
void MultiplyTile(const Bf16* const* rows, int64_t count, const Bf16Row& row,
                  const Bf16Columns& columns, float* out, int64_t out_stride) {
  static constexpr auto kTiles = TilesOf<kKind>(std::make_index_sequence<kVectorTileRows>());
  kTiles.by_rows[count - 1](rows, row, columns, out, out_stride);
}

// The same by matrix units: 16 or 32 rows in tiles, so that four sums use each tile twice.
constexpr int64_t kUnitRows = 16;
struct UnitsWork {
  const Bf16Row& row;
  const TileLeft::Tiles& left;
  const Bf16Columns& right;
  float* out;
  int64_t out_stride;
  TileLeft::Beside beside = {};
};
template <bool kAdds, bool kTwo, class U>
void MultiplyByUnits(const UnitsWork& work) {
  constexpr int64_t kHalf = kPanelOutputs / 2, kNumberBytes = sizeof(Bf16);
  const TileLeft::Tiles& left = work.left;
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
  const int64_t parts = work.row.length / (2 * left.pairs);
  const Bf16* at = work.right.first;
  for (int64_t s = 0; s < work.row.segments; ++s) {
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
void MultiplyByUnits(const UnitsWork& work, int64_t count) {
  WithUnits([&](auto units) {
    using U = decltype(units);
    if (tile_pairs != work.left.pairs) {
      U::Configure(work.left.pairs);
      tile_pairs = work.left.pairs;
    }
    if (count > kUnitRows) {
      MultiplyByUnits<kAdds, true, U>(work);
    } else {
      MultiplyByUnits<kAdds, false, U>(work);
    }
  });
}

}  // namespace

void TileLeft::PlaceTiles() {
  const int64_t of_segment = row_.length / 2;
  tiles_.pairs = std::min<int64_t>(kUnitRows, of_segment);
  while (of_segment % tiles_.pairs != 0) {
    --tiles_.pairs;
  }
  if (row_.row_stride == 0) {
    CopyToTiles();
    return;
  }
  tiles_.first = rows_[0];
  tiles_.row_stride = row_.row_stride;
  tiles_.part_stride = 2 * tiles_.pairs;
  tiles_.segment_stride = row_.segment_stride;
  tiles_.below = kUnitRows * row_.row_stride;
}

void TileLeft::CopyToTiles() {
  const int64_t pairs = tiles_.pairs, parts = row_.length / (2 * pairs),
                rounded = count_ > kUnitRows ? 2 * kUnitRows : kUnitRows;
  constexpr int64_t kRowNumbers = 2 * kUnitRows;
  const __mmask16 of_part = MaskOf(pairs);
  Bf16* to = copied_.Room(row_.segments * parts * rounded * kRowNumbers);
  tiles_.first = to;
  tiles_.row_stride = kRowNumbers;
  tiles_.part_stride = rounded * kRowNumbers;
  tiles_.segment_stride = parts * tiles_.part_stride;
  tiles_.below = kUnitRows * kRowNumbers;
  for (int64_t s = 0; s < row_.segments; ++s) {
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t offset = s * row_.segment_stride + part * pairs * row_.pair_stride;
      if (row_.pair_stride == 2) {
        for (int64_t r = 0; r < rounded; ++r, to += kRowNumbers) {
          _mm512_storeu_si512(to, r < count_ ? _mm512_maskz_loadu_epi32(
                                                   of_part, rows_[static_cast<size_t>(r)] + offset)
                                             : _mm512_setzero_si512());
        }
        continue;
      }
      for (int64_t first = 0; first < rounded; first += kUnitRows) {
        const __mmask16 of_rows = MaskOf(count_ - first);
        __m512i block[kUnitRows];
        for (int64_t i = 0; i < kUnitRows; ++i) {
          block[i] = i < pairs
                         ? _mm512_maskz_loadu_epi32(of_rows, rows_[static_cast<size_t>(first)] +
                                                                 offset + i * row_.pair_stride)
                         : _mm512_setzero_si512();
        }
        Transpose(block);
        for (int64_t i = 0; i < kUnitRows; ++i, to += kRowNumbers) {
          _mm512_storeu_si512(to, block[i]);
        }
      }
    }
  }
}

void TileLeft::Multiply(const Bf16* panel, float* out, int64_t out_stride) const {
  const Bf16Columns columns{.first = panel};
  if (in_tiles_) {
    MultiplyByUnits<false>({row_, tiles_, columns, out, out_stride}, count_);
  } else {
    MultiplyTile<TileKind::kPlain>(rows_.data(), count_, row_, columns, out, out_stride);
  }
}

void TileLeft::MultiplyBeside(const Beside& beside, const Bf16* panel, float* out) const {
  const Bf16Columns columns{.first = panel};
  if (in_tiles_) {
    MultiplyByUnits<false>({row_, tiles_, columns, out, kPanelOutputs, beside}, count_);
    return;
  }
  beside.some(beside.work);
  if (beside.fetches) {
    MultiplyTile<TileKind::kFetching>(rows_.data(), count_, row_, columns, out, kPanelOutputs);
  } else {
    MultiplyTile<TileKind::kPlain>(rows_.data(), count_, row_, columns, out, kPanelOutputs);
  }
}

void TileLeft::AddTo(const Bf16Columns& columns, float* out, int64_t out_stride) const {
  if (!in_tiles_) {
    MultiplyTile<TileKind::kAdding>(rows_.data(), count_, row_, columns, out, out_stride);
    return;
  }
  if (count_ % kUnitRows == 0) {
    MultiplyByUnits<true>({row_, tiles_, columns, out, out_stride}, count_);
    return;
  }
  // Whole tiles would reach beyond the rows.
  alignas(64) float whole[kMostTileRows * kPanelOutputs] = {};
  for (int64_t r = 0; r < count_; ++r) {
    std::copy_n(out + r * out_stride, kPanelOutputs, whole + r * kPanelOutputs);
  }
  MultiplyByUnits<true>({row_, tiles_, columns, whole, kPanelOutputs}, count_);
  for (int64_t r = 0; r < count_; ++r) {
    std::copy_n(whole + r * kPanelOutputs, kPanelOutputs, out + r * out_stride);
  }
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
int64_t TileRows() { return kMostTileRows; }
int64_t TileInner() { return 2; }

TileScope::TileScope() = default;
TileScope::~TileScope() = default;
void TileLeft::PlaceTiles() {}
void TileLeft::CopyToTiles() {}
void TileLeft::Multiply(const Bf16*, float*, int64_t) const {}
void TileLeft::MultiplyBeside(const Beside&, const Bf16*, float*) const {}
void TileLeft::AddTo(const Bf16Columns&, float*, int64_t) const {}
void PackAsOutputs(const Bf16*, int64_t, int64_t, int64_t, Bf16*) {}
void PackAsInner(const Bf16*, int64_t, int64_t, int64_t, Bf16*, int64_t) {}
void Bf16Matrix::PackPanel(int64_t, const float*) {}
void Bf16Matrix::PackPanelTransposed(int64_t, const float*) {}
void LinearRows(const Bf16*, int64_t, const Bf16Matrix&, const float*, Part, Bf16*) {}

#endif

}  // namespace hidreamer::nn
