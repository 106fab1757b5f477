// Included by gemm.cc alone.
namespace hidreamer::kernels::avx512 {
namespace {

// 2 x 12 sums, 2 weights and a pair of the row fit the 32 registers; 24 multiply-adds go with 14
// loads.
constexpr int64_t kTileRows = kVectorTileRows;
constexpr int64_t kAhead = 4096;  // how far in front a panel is fetched

// `kRows` rows of the left side from `first` on, to out.
template <TileKind kKind, int kRows>
void Tile(const TileLeft::Parts& of, int64_t first, const Bf16Columns& right, float* out,
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
      rows[r] = of.rows[static_cast<size_t>(first + r)] + s * left.segment_stride;
    }
    const int64_t step = left.pair_stride, end = left.length / 2 * step;
    for (int64_t k = 0; k < end; k += step, panel += right_step) {
      if constexpr (kKind == TileKind::kFetching) {
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead + kPanelOutputs), _MM_HINT_T0);
      }
      const auto numbers = reinterpret_cast<__m512bh>(LoadBits(panel));
      const auto others = reinterpret_cast<__m512bh>(LoadBits(panel + kPanelOutputs));
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const Pair pair = SpreadPair(rows[r] + k);
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], pair, numbers);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], pair, others);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    Store(out + r * out_stride, sums[r][0]);
    Store(out + r * out_stride + kHalf, sums[r][1]);
  }
}

}  // namespace
}  // namespace hidreamer::kernels::avx512
