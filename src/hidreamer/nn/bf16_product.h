#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "hidreamer/nn/aligned_buffer.h"

// Products of bf16 numbers with sums in f32: by the instruction of AVX-512 BF16, by matrix units
// (AMX), or with AVX2 by the multiply-adds of f32, whose upper halves bf16 numbers are. For work
// with much to do between products, where the library's calls and passes over memory cost more than
// its products.
namespace hidreamer::nn {

// The widest set of instructions that the processor has and kernels are compiled for. The variable
// HIDREAMER_KERNELS takes less: "avx2", or "off".
enum class Bf16Kernels { kNone, kAvx2, kAvx512 };
Bf16Kernels Bf16KernelsHere();
// Whether there is any. The functions below may be called only where this holds.
inline bool HasBf16Kernels() { return Bf16KernelsHere() != Bf16Kernels::kNone; }
[[noreturn]] void NoBf16Kernels();  // an error: they were called where there are none
// Whether it has matrix units (AMX) besides and the system lets this process use them. The variable
// HIDREAMER_MATRIX_UNITS decides otherwise: "off", or "emulated" (slow; for tests elsewhere).
bool HasMatrixUnits();

using Bf16 = uint16_t;  // the upper half of an f32

// Nearest, ties to even.
inline Bf16 ToBf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<Bf16>((x != x ? 0x7fc00000u : rounded) >> 16);
}

inline float FromBf16(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }

constexpr int64_t kPanelOutputs = 32;
constexpr int64_t kMostTileRows = 32;
int64_t TileRows();   // of a whole tile: 32 with matrix units, else 12
int64_t TileInner();  // what sums should be a multiple of, to fill tiles: 32 or 2

struct Part {  // the index-th of `count` about equal ones
  int64_t index = 0, count = 1;
  int64_t Begin(int64_t size) const { return index * size / count; }
  int64_t End(int64_t size) const { return (index + 1) * size / count; }
};

inline int64_t RoundUp(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Rows in as few tiles of about equal size as they fit.
inline int64_t TilesOf(int64_t rows) { return (rows + TileRows() - 1) / TileRows(); }

// The rows of one of TilesOf(rows) tiles: from `begin` to `end`, new from `first` on. Tiles are
// about equal; matrix units, which can read a whole tile where its rows lie, take whole ones if
// there are that many rows, of which the last may begin within the one before.
struct RowsOfTile {
  int64_t begin, first, end;
  int64_t count() const { return end - begin; }
};
inline bool ReadsWholeTiles(int64_t rows) { return HasMatrixUnits() && rows >= TileRows(); }
inline RowsOfTile TileOfRows(int64_t tile, int64_t rows) {
  if (ReadsWholeTiles(rows)) {
    const int64_t first = tile * TileRows(), begin = std::min(first, rows - TileRows());
    return {begin, first, begin + TileRows()};
  }
  const Part part{tile, TilesOf(rows)};
  return {part.Begin(rows), part.Begin(rows), part.End(rows)};
}

// Rows that are the outputs of panels, in tiles of which none is of two panels: 11, 11 and 10 of
// each, or with matrix units all 32.
inline int64_t TilesOfPanel() { return TilesOf(kPanelOutputs); }
inline int64_t TileBegin(int64_t tile) {
  const int64_t of_panel = TilesOfPanel();
  return tile / of_panel * kPanelOutputs + Part{tile % of_panel, of_panel}.Begin(kPanelOutputs);
}

// 32 columns of a right-hand side.
struct Bf16Columns {
  // The numbers of a column in pairs along k, as the instruction reads them: the 64 of a pair lie
  // `step` after those of the pair before, a segment's first `segment_stride` after the last's
  // first.
  const Bf16* first = nullptr;
  int64_t step = 2 * kPanelOutputs;
  int64_t segment_stride = 0;
  // The same as f32, (k, 32), where WantsWide(): read instead.
  const float* wide = nullptr;

  // From the k-th number of each column on; of a panel.
  Bf16Columns From(int64_t k) const {
    Bf16Columns columns = *this;
    columns.first = first == nullptr ? nullptr : first + k * kPanelOutputs;
    columns.wide = wide == nullptr ? nullptr : wide + k * kPanelOutputs;
    return columns;
  }
};
// Whether columns that are multiplied by many tiles should be f32: bf16 is multiplied as such.
inline bool WantsWide() { return Bf16KernelsHere() == Bf16Kernels::kAvx2 && !HasMatrixUnits(); }

// The right-hand side of a product, (K, N), kept as its columns of 32 with the numbers of a column
// in pairs along K: [N / 32][K / 2][32][2]. Missing columns are 0.
class Bf16Matrix {
 public:
  Bf16Matrix() = default;
  // weight (outputs, inner) f32, contiguous, as a linear layer keeps it; inner is even.
  Bf16Matrix(const float* weight, int64_t outputs, int64_t inner);
  // Room for a matrix whose panels are then packed one by one, by several threads.
  Bf16Matrix(int64_t outputs, int64_t inner);
  void PackPanel(int64_t index, const float* weight);
  // weight (inner, outputs): the matrix of a linear layer's gradient. outputs is a multiple of 32.
  void PackPanelTransposed(int64_t index, const float* weight);

  int64_t outputs() const { return outputs_; }
  int64_t inner() const { return inner_; }
  int64_t panels() const { return (outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  Bf16Columns panel(int64_t index) const {
    return {.first = packed_.data() + index * kPanelOutputs * inner_};
  }

 private:
  int64_t outputs_ = 0, inner_ = 0;
  AlignedBuffer<Bf16> packed_;
};

// Panels made ready for many tiles.
class TileRight {
 public:
  // The panels of a matrix from the `first` on, to be used by about so many tiles each.
  void Take(const Bf16Matrix& matrix, int64_t first, int64_t count, int64_t tiles);
  Bf16Columns panel(int64_t index) const {  // of the matrix
    return is_wide_ ? Bf16Columns{.wide = wide_.data() +
                                          (index - first_) * kPanelOutputs * matrix_->inner()}
                    : matrix_->panel(index);
  }

 private:
  const Bf16Matrix* matrix_ = nullptr;
  int64_t first_ = 0;
  bool is_wide_ = false;
  AlignedBuffer<float> wide_;
};

// A row of a left-hand side: `segments` runs of `length` numbers (even), each `segment_stride`
// after the one before: one run is a plain row, several the rows of an image's patch. The pairs of
// a run lie `pair_stride` apart: 2 in a row, more in a column of pairs. Where pairs follow each
// other, and each row of a whole tile lies `row_stride` after the one before, that says so and
// nothing need be copied.
struct Bf16Row {
  int64_t length = 0;
  int64_t pair_stride = 2;
  int64_t segments = 1;
  int64_t segment_stride = 0;
  int64_t row_stride = 0;
};

// To be alive in a thread that multiplies tiles: the library sets matrix units up in another way.
class TileScope {
 public:
  TileScope();
  ~TileScope();
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

// The left-hand side of a tile, made ready once for all that it is multiplied by. Only within a
// TileScope.
class TileLeft {
 public:
  TileLeft() {}
  TileLeft(const TileLeft&) = delete;
  TileLeft& operator=(const TileLeft&) = delete;

  // count <= TileRows() rows, which stay as they are while this is used; first_of(r) is the first
  // number of one. Where pairs do not follow each other, the rows do: 2 numbers apart.
  template <class FirstOf>
  void Take(int64_t count, const Bf16Row& row, const FirstOf& first_of) {
    for (int64_t r = 0; r < count; ++r) {
      parts_.rows[static_cast<size_t>(r)] = first_of(r);
    }
    parts_.count = count;
    parts_.row = row;
    if (in_tiles_) {
      PlaceTiles();
    } else if (widens_) {
      Widen();
    }
  }

  // out (count, 32), rows `out_stride` apart, = rows (count, segments * length) times a panel,
  // whose pairs follow each other. `out` has room for a whole tile.
  void Multiply(const Bf16Columns& panel, float* out, int64_t out_stride = kPanelOutputs) const;
  // The same beside other work: with matrix units some(work) is called again and again meanwhile,
  // without them once before. Where `fetches`, what lies behind the panel is fetched: for matrices
  // larger than the second cache.
  struct Beside {
    void (*some)(void* work) = nullptr;
    void* work = nullptr;
    bool fetches = false;
  };
  void MultiplyBeside(const Beside& beside, const Bf16Columns& panel, float* out) const;
  // out (count, 32), rows `out_stride` apart, += rows times the columns.
  void AddTo(const Bf16Columns& columns, float* out, int64_t out_stride) const;

  // Where matrix units find the rows: tiles of 16, each part of the sum of `pairs` pairs.
  struct Tiles {
    const Bf16* first = nullptr;
    int64_t row_stride = 0, part_stride = 0, segment_stride = 0;
    int64_t below = 0;  // from a tile to that of the next 16 rows
    int64_t pairs = 0;
  };

  // What is multiplied by f32's instructions is made f32 first: (pairs of the sum, rows, 2), rows
  // rounded up to `rows`.
  struct Wide {
    const float* first = nullptr;
    int64_t rows = 0;
  };
  // What kernels read.
  struct Parts {
    std::array<const Bf16*, kMostTileRows> rows;  // not set to 0
    int64_t count = 0;
    Bf16Row row;
    Tiles tiles;
    Wide wide;
  };

 private:
  void PlaceTiles();
  void Widen();

  Parts parts_;
  const bool in_tiles_ = HasMatrixUnits();
  const bool widens_ = Bf16KernelsHere() == Bf16Kernels::kAvx2;
  AlignedBuffer<Bf16> copied_;  // (parts of the sum, 16 or 32 rows, 32)
  AlignedBuffer<float> widened_;
};

// Panels of a right-hand side that is not a weight. x (n, d), rows `stride` apart:
//   PackAsOutputs  (d, n): [n / 32][d / 2][32][2], n rounded up to 32 with zeros
//   PackAsInner    (n, d): [d / 32][n' / 2][32][2], n' = n rounded up to `multiple` with zeros
// d and `multiple` are even, in PackAsInner d is a multiple of 32.
void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed);
void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed,
                 int64_t multiple = 2);

// x (rows, K) bf16, rows `stride` apart, times all of the matrix. Each tile's sums go to
//   use(first row, rows, first output, outputs, sums (rows, 32))
// which may be called for some of a tile's rows at a time.
// A panel is used for all rows before the next is touched; `part` names the panels to be used.
constexpr int64_t kRowsBeside = 3;
template <class Use>
void MultiplyRows(const Bf16* x, int64_t rows, int64_t stride, const Bf16Matrix& matrix, Part part,
                  const Use& use) {
  const TileScope scope;
  const int64_t groups = TilesOf(rows);
  std::vector<TileLeft> left(static_cast<size_t>(groups));
  for (int64_t g = 0; g < groups; ++g) {
    const RowsOfTile group = TileOfRows(g, rows);
    left[static_cast<size_t>(g)].Take(
        group.count(), {.length = matrix.inner(), .row_stride = ReadsWholeTiles(rows) ? stride : 0},
        [&](int64_t r) { return x + (group.begin + r) * stride; });
  }
  // A tile's sums are used, a few rows at a time, while matrix units work on the next tile.
  struct Sums {
    int64_t row, left, column, outputs;  // rows left to be used
    const float* at;
  };
  struct UseOfTile {
    const Use& use;
    Sums sums;
    void Some(int64_t most) {
      if (const int64_t count = std::min(most, sums.left); count > 0) {
        use(sums.row, count, sums.column, sums.outputs, sums.at);
        sums.row += count;
        sums.left -= count;
        sums.at += count * kPanelOutputs;
      }
    }
  } before{use, {}};
  alignas(64) float tiles[2][kMostTileRows * kPanelOutputs];
  float* tile = tiles[0];
  const auto some = [](void* work) { static_cast<UseOfTile*>(work)->Some(kRowsBeside); };
  TileRight right;
  for (int64_t p = part.Begin(matrix.panels()); p < part.End(matrix.panels()); ++p) {
    right.Take(matrix, p, 1, groups);
    const int64_t column = p * kPanelOutputs;
    const int64_t outputs = std::min(kPanelOutputs, matrix.outputs() - column);
    for (int64_t g = 0; g < groups; ++g) {
      left[static_cast<size_t>(g)].MultiplyBeside(
          {.some = some, .work = &before, .fetches = g == 0}, right.panel(p), tile);
      before.Some(kMostTileRows);
      const RowsOfTile group = TileOfRows(g, rows);
      before.sums = {.row = group.first,
                     .left = group.end - group.first,
                     .column = column,
                     .outputs = outputs,
                     .at = tile + (group.first - group.begin) * kPanelOutputs};
      tile = tile == tiles[0] ? tiles[1] : tiles[0];
    }
  }
  before.Some(kMostTileRows);
}

// out (rows, N) bf16 = x (rows, K) times the matrix + bias (N) unless it is null, of a part of the
// outputs.
void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out);

}  // namespace hidreamer::nn
