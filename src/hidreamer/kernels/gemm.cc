#ifndef HID_TARGET

#include "hidreamer/kernels/gemm.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/matrix_units.h"
#include "hidreamer/kernels/vectors.h"

#ifdef HID_BF16_KERNELS
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace hidreamer::kernels {

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

}  // namespace hidreamer::kernels

#define HID_KERNELS "hidreamer/kernels/gemm.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

Bf16Matrix::Bf16Matrix(int64_t outputs, int64_t inner)
    : outputs_(outputs), inner_(inner), packed_(panels() * kPanelOutputs * inner) {
  if (InFixedPoint()) {
    scales_.Room(panels() * kPanelOutputs);
  }
}

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
  MakeReady(index);
}

void Bf16Matrix::PackPanelTransposed(int64_t index, const float* weight) {
  const int64_t first = index * kPanelOutputs;
  Bf16* const to = packed_.data() + first * inner_;
  HID_DISPATCH(PackPairsTransposed(weight + first, outputs_, inner_, to));
  MakeReady(index);
}

void Bf16Matrix::MakeReady(int64_t index) {
  if (InFixedPoint()) {
    FixColumns(packed_.data() + index * kPanelOutputs * inner_, inner_ / 2, kPanelOutputs,
               2 * kPanelOutputs, scales_.data() + index * kPanelOutputs);
  }
}

void Bf16Panels::PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride) {
  const int64_t padded = RoundUp(n, kPanelOutputs);
  Bf16* const to = packed_.Room(padded * d);
  HID_DISPATCH(PackAsOutputs(x, n, d, stride, to));
  inner_ = d;
  MakeReady(padded);
}

void Bf16Panels::PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride) {
  inner_ = RoundUp(n, TileInner());
  kernels::PackAsInner(x, n, d, stride, packed_.Room(inner_ * d), TileInner());
  MakeReady(d);
}

void Bf16Panels::MakeReady(int64_t columns) {
  if (!InFixedPoint()) {
    return;
  }
  float* const scales = scales_.Room(columns);
  for (int64_t column = 0; column < columns; column += kPanelOutputs) {
    FixColumns(packed_.data() + column * inner_, inner_ / 2, kPanelOutputs, 2 * kPanelOutputs,
               scales + column);
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

void TileLeft::Fix() {
  Bf16Row& row = parts_.row;
  const int64_t inner = row.segments * row.length;
  Bf16* const to = fixed_.Room(parts_.count * inner);
  HID_DISPATCH_AVX2(FixRows(parts_, to, scales_.data()));
  for (int64_t r = 0; r < parts_.count; ++r) {
    parts_.rows[static_cast<size_t>(r)] = to + r * inner;
  }
  row.segment_stride = row.length;
  row.scales = scales_.data();
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

void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed,
                 int64_t multiple) {
  HID_DISPATCH(PackAsInner(x, n, d, stride, packed, multiple));
}

void FixNumbers(const Bf16* from, int64_t count, float squares, Bf16* to, float* scale) {
  HID_DISPATCH_AVX2(FixNumbers(from, count, squares, to, scale));
}

void FixColumns(Bf16* pairs, int64_t count, int64_t columns, int64_t stride, float* scales) {
  HID_DISPATCH_AVX2(FixColumns(pairs, count, columns, stride, scales));
}

void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out) {
  HID_DISPATCH(LinearRows(x, rows, matrix, bias, part, out));
}

}  // namespace hidreamer::kernels

#else

#ifdef HID_AVX512
#include "hidreamer/kernels/tile_avx512.h"
#else
#include "hidreamer/kernels/tile_avx2.h"
#endif

namespace hidreamer::kernels::HID_TARGET {
namespace {

using TileFunction = void (*)(const TileLeft::Parts&, int64_t, const Bf16Columns&, float*, int64_t);

template <TileKind kKind, size_t... kCounts>
constexpr auto TilesOf(std::index_sequence<kCounts...> /*counts*/) {
  struct Table {
    TileFunction by_rows[sizeof...(kCounts)];
  };
  return Table{{Tile<kKind, static_cast<int>(kCounts + 1)>...}};
}

}  // namespace

template <TileKind kKind>
void MultiplyTile(const TileLeft::Parts& left, const Bf16Columns& columns, float* out,
                  int64_t out_stride) {
  static constexpr auto kTiles = TilesOf<kKind>(std::make_index_sequence<kTileRows>());
  const int64_t parts = (left.count + kTileRows - 1) / kTileRows;
  for (int64_t i = 0; i < parts; ++i) {
    const Part part{i, parts};
    const int64_t first = part.Begin(left.count), rows = part.End(left.count) - first;
    kTiles.by_rows[rows - 1](left, first, columns, out + first * out_stride, out_stride);
  }
}

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

}  // namespace hidreamer::kernels::HID_TARGET

#endif
