#pragma once

#include <bit>
#include <cstdint>
#include <vector>

// Products of bf16 numbers with sums in f32, by the instruction of AVX-512 BF16. For work of few
// rows or with much to do between products, where the library's calls and passes over memory cost
// more than its products.
namespace hidreamer::nn {

// Whether the processor has the instruction. The functions below may be called only where this
// holds.
bool HasBf16Kernels();
// Whether it has matrix units (AMX) besides: the library's products of many rows are then faster.
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
constexpr int64_t kTileRows = 12;

// The right-hand side of a product, (K, N), kept as its columns of 32 with the numbers of a column
// in pairs along K, as the instruction reads them: [N / 32][K / 2][32][2]. Missing columns are 0.
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
  const Bf16* panel(int64_t index) const { return packed_.data() + index * kPanelOutputs * inner_; }

 private:
  int64_t outputs_ = 0, inner_ = 0;
  std::vector<Bf16> packed_;
};

// Rows of a left-hand side. Row r is `segments` runs of `length` numbers (even), each
// `segment_stride` after the one before: one run is a plain row, several the rows of an image's
// patch. The pairs of a run lie `pair_stride` apart: 2 in a row, more in a column of pairs.
struct Bf16Rows {
  const Bf16* const* rows;
  int64_t length = 0;
  int64_t pair_stride = 2;
  int64_t segments = 1;
  int64_t segment_stride = 0;
};

// out (count, 32) = rows (count <= 12, segments * length) times a panel.
void MultiplyTile(const Bf16Rows& rows, int64_t count, const Bf16* panel, float* out);
// The same, and fetches what lies behind the panel: for matrices larger than the second cache.
void MultiplyTileAndFetch(const Bf16Rows& rows, int64_t count, const Bf16* panel, float* out);

// 32 columns of a right-hand side that is not packed by panels: the 64 numbers of a pair of k lie
// `step` after those of the pair before, a segment's first `segment_stride` after the last's first.
struct Bf16Columns {
  const Bf16* first = nullptr;
  int64_t step = 2 * kPanelOutputs;
  int64_t segment_stride = 0;
};
// out (count, 32), rows `out_stride` apart, += rows times the columns.
void AddTile(const Bf16Rows& rows, int64_t count, const Bf16Columns& columns, float* out,
             int64_t out_stride);

// Panels of a right-hand side that is not a weight. x (n, d), rows `stride` apart:
//   PackAsOutputs  (d, n): [n / 32][d / 2][32][2], n rounded up to 32 with zeros
//   PackAsInner    (n, d): [d / 32][n' / 2][32][2], n' = n rounded up to 2 with zeros
// d is even, in PackAsInner a multiple of 32.
void PackAsOutputs(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed);
void PackAsInner(const Bf16* x, int64_t n, int64_t d, int64_t stride, Bf16* packed);

// x (rows, K) bf16, rows `stride` apart, times all of the matrix. Each tile's sums go to
//   use(first row, rows, first output, outputs, tile (rows, 32))
// A panel is used for all rows before the next is touched; `part` names the panels to be used.
struct Part {  // the index-th of `count` about equal ones
  int64_t index = 0, count = 1;
  int64_t Begin(int64_t size) const { return index * size / count; }
  int64_t End(int64_t size) const { return (index + 1) * size / count; }
};
template <class Use>
void MultiplyRows(const Bf16* x, int64_t rows, int64_t stride, const Bf16Matrix& matrix, Part part,
                  const Use& use) {
  float tile[kTileRows * kPanelOutputs];
  const int64_t groups = (rows + kTileRows - 1) / kTileRows;
  for (int64_t p = part.Begin(matrix.panels()); p < part.End(matrix.panels()); ++p) {
    const int64_t column = p * kPanelOutputs;
    const int64_t outputs =
        column + kPanelOutputs <= matrix.outputs() ? kPanelOutputs : matrix.outputs() - column;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * rows / groups, count = (g + 1) * rows / groups - begin;
      const Bf16* pointers[kTileRows];
      for (int64_t r = 0; r < count; ++r) {
        pointers[r] = x + (begin + r) * stride;
      }
      const Bf16Rows group{.rows = pointers, .length = matrix.inner()};
      (g == 0 ? MultiplyTileAndFetch : MultiplyTile)(group, count, matrix.panel(p), tile);
      use(begin, count, column, outputs, tile);
    }
  }
}

// out (rows, N) bf16 = x (rows, K) times the matrix + bias (N) unless it is null, of a part of the
// outputs.
void LinearRows(const Bf16* x, int64_t rows, const Bf16Matrix& matrix, const float* bias, Part part,
                Bf16* out);

}  // namespace hidreamer::nn
