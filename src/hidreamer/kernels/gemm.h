#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hidreamer/base/part.h"
#include "hidreamer/kernels/aligned_buffer.h"

// Products of bf16 numbers with sums in f32: by the instruction of AVX-512 BF16, by matrix units
// (AMX), or with AVX2 in fixed point. For work with much to do between products, where the
// library's calls and passes over memory cost more than its products.
namespace hidreamer::kernels {

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

// Whether bf16 numbers are multiplied in fixed point, with AVX2 (dynamic fixed point: Das et al.,
// "Mixed precision training of convolutional neural networks using integer operations", 2018). A
// row of the left and a column of the right side are rounded to integers of 16 bits times a scale,
// their Euclidean norm as integers being about 2^15: sums of products then fit 32 bits whatever the
// numbers are (Cauchy and Schwarz). A multiplication and an addition of integers do as much as two
// multiply-adds of f32, and processors begin three of the former in a cycle, two of the latter.
// Norms below 2^-60 count as 0; a number that is none makes its whole row or column so.
inline bool InFixedPoint() { return Bf16KernelsHere() == Bf16Kernels::kAvx2 && !HasMatrixUnits(); }
constexpr float kFixedNorm = 32760;
// How far that can move a sum of `inner` products, over the norms of both sides: each moves by half
// a unit a number. (Rounding f32 to bf16 can move it by 2^-8.) 0 where nothing is in fixed point.
inline float FixedPointError(int64_t inner) {
  return InFixedPoint() ? 1.001f * std::sqrt(static_cast<float>(inner)) / kFixedNorm : 0.0f;
}

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
  // (32) In fixed point: the numbers are integers, of each column this multiple.
  const float* scales = nullptr;

  // From the k-th number of each column on; of a panel.
  Bf16Columns From(int64_t k) const {
    Bf16Columns columns = *this;
    columns.first = first + k * kPanelOutputs;
    return columns;
  }
};

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
    return {.first = packed_.data() + index * kPanelOutputs * inner_,
            .scales = InFixedPoint() ? scales_.data() + index * kPanelOutputs : nullptr};
  }

 private:
  void MakeReady(int64_t index);

  int64_t outputs_ = 0, inner_ = 0;
  AlignedBuffer<Bf16> packed_;
  AlignedBuffer<float> scales_;  // (panels, 32), in fixed point
};

// The right-hand side of a product that is not a weight: of x (n, d) bf16, rows `stride` apart.
class Bf16Panels {
 public:
  // (d, n): [n / 32][d / 2][32][2], n rounded up to 32 with zeros. d is even.
  void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride);
  // (n, d): [d / 32][n' / 2][32][2], n' = n rounded up to TileInner() with zeros. d is a multiple
  // of 32.
  void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride);

  Bf16Columns panel(int64_t index) const {
    return {.first = packed_.data() + index * kPanelOutputs * inner_,
            .scales = InFixedPoint() ? scales_.data() + index * kPanelOutputs : nullptr};
  }

 private:
  void MakeReady(int64_t columns);

  int64_t inner_ = 0;
  AlignedBuffer<Bf16> packed_;
  AlignedBuffer<float> scales_;
};

// The same into memory of one's own: for a left-hand side, whose rows then are columns of pairs.
void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed,
                 int64_t multiple = 2);

// Numbers to fixed point with one scale; the squares of no row of a left-hand side sum up to more
// than `squares`. Only where InFixedPoint(), as the next.
void FixNumbers(const Bf16* from, int64_t count, float squares, Bf16* to, float* scale);

// Pairs (count, columns, 2), those of one column `stride` apart, to fixed point in place: integers
// and the scale of each column. columns is a multiple of 32.
void FixColumns(Bf16* pairs, int64_t count, int64_t columns, int64_t stride, float* scales);

// A row of a left-hand side: `segments` runs of `length` numbers (even), each `segment_stride`
// after the one before: one run is a plain row, several the rows of an image's patch. The pairs of
// a run lie `pair_stride` apart: 2 in a row, more in a column of pairs. Where pairs follow each
// other, and each row of a whole tile lies `row_stride` after the one before, that says so and
// nothing need be copied. Numbers that are in fixed point already say so by the scales of the
// tile's rows; others are copied to be so. Columns of pairs must be (FixColumns).
struct Bf16Row {
  int64_t length = 0;
  int64_t pair_stride = 2;
  int64_t segments = 1;
  int64_t segment_stride = 0;
  int64_t row_stride = 0;
  const float* scales = nullptr;
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
    } else if (in_fixed_point_ && row.scales == nullptr) {
      Fix();
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

  // What kernels read.
  struct Parts {
    std::array<const Bf16*, kMostTileRows> rows;  // not set to 0
    int64_t count = 0;
    Bf16Row row;
    Tiles tiles;
  };

 private:
  void PlaceTiles();
  void Fix();

  Parts parts_;
  const bool in_tiles_ = HasMatrixUnits();
  const bool in_fixed_point_ = InFixedPoint();
  AlignedBuffer<Bf16> copied_;  // (parts of the sum, 16 or 32 rows, 32)
  AlignedBuffer<Bf16> fixed_;   // (rows, segments * length)
  std::array<float, kMostTileRows> scales_;
};

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
  for (int64_t p = part.Begin(matrix.panels()); p < part.End(matrix.panels()); ++p) {
    const int64_t column = p * kPanelOutputs;
    const int64_t outputs = std::min(kPanelOutputs, matrix.outputs() - column);
    for (int64_t g = 0; g < groups; ++g) {
      left[static_cast<size_t>(g)].MultiplyBeside(
          {.some = some, .work = &before, .fetches = g == 0}, matrix.panel(p), tile);
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

}  // namespace hidreamer::kernels
