// Products in fixed point: gemm.h, InFixedPoint(). Included by gemm.cc alone.
namespace hidreamer::kernels::avx2 {
namespace {

// 6 rows by 16 outputs, or 2 by 32: 12 sums, 2 vectors of pairs, a pair of the row and a product
// fit the 16 registers.
constexpr int64_t kTileRows = 6;
constexpr int64_t kAhead = 4096;  // how far in front a panel is fetched

// `kRows` rows of the left side from `first` on, to out.
template <TileKind kKind, int kRows>
void Tile(const TileLeft::Parts& of, int64_t first, const Bf16Columns& right, float* out,
          int64_t out_stride) {
  constexpr int kVectors = kRows <= 2 ? 4 : 2, kVectorOutputs = 8;  // beside each other
  const bool adding = kKind == TileKind::kAdding;
  const int64_t right_step = adding ? right.step : 2 * kPanelOutputs;
  const Bf16Row& left = of.row;
  for (int64_t column = 0; column < kPanelOutputs; column += kVectors * kVectorOutputs) {
    __m256i sums[kRows][kVectors];
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = _mm256_setzero_si256();
      }
    }
    const Bf16* panel = right.first + 2 * column;
    for (int64_t s = 0; s < left.segments; ++s) {
      if (adding) {
        panel = right.first + s * right.segment_stride + 2 * column;
      }
      const Bf16* rows[kRows];
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        rows[r] = of.rows[static_cast<size_t>(first + r)] + s * left.segment_stride;
      }
      const int64_t step = left.pair_stride, end = left.length / 2 * step;
      for (int64_t k = 0; k < end; k += step, panel += right_step) {
        if constexpr (kKind == TileKind::kFetching) {
          _mm_prefetch(reinterpret_cast<const char*>(panel + kAhead), _MM_HINT_T0);
        }
        __m256i numbers[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          numbers[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel) + v);
        }
#pragma GCC unroll 6
        for (int r = 0; r < kRows; ++r) {
          int32_t bits = 0;
          __builtin_memcpy(&bits, rows[r] + k, sizeof(bits));
          const __m256i pair = _mm256_set1_epi32(bits);
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) {
            sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(pair, numbers[v]));
          }
        }
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 row_scale = _mm256_set1_ps(left.scales[first + r]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int64_t at = column + v * kVectorOutputs;
        const __m256 sum = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][v]), row_scale),
                                         _mm256_loadu_ps(right.scales + at));
        float* const to = out + r * out_stride + at;
        _mm256_storeu_ps(to, adding ? _mm256_add_ps(_mm256_loadu_ps(to), sum) : sum);
      }
    }
  }
}

// What numbers are multiplied with to be integers, and those to be numbers again, of the sums of
// their squares.
struct Fixing {
  __m256 inverse, scale;
};
Fixing FixingOf(__m256 squares) {
  constexpr float kLeast = 0x1p-120f;
  const __m256 norm = _mm256_sqrt_ps(squares), most = _mm256_set1_ps(kFixedNorm);
  const __m256 none = _mm256_cmp_ps(squares, _mm256_set1_ps(kLeast), _CMP_LT_OQ);
  return {_mm256_andnot_ps(none, _mm256_div_ps(most, norm)),
          _mm256_andnot_ps(none, _mm256_div_ps(norm, most))};
}

// Adds the squares of both numbers of each pair.
__m256 AddSquares(__m256 sums, __m256i pairs) {
  const __m256 even = EvenOf(pairs), odd = OddOf(pairs);
  return _mm256_fmadd_ps(even, even, _mm256_fmadd_ps(odd, odd, sums));
}

__m256i Fix(__m256i pairs, __m256 inverse) {
  const __m256i even = _mm256_cvtps_epi32(_mm256_mul_ps(EvenOf(pairs), inverse));
  const __m256i odd = _mm256_cvtps_epi32(_mm256_mul_ps(OddOf(pairs), inverse));
  return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
}

// Up to 16 numbers, 0 behind them.
__m256i LoadNumbers(const Bf16* from, int64_t count) {
  if (count >= 16) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  Bf16 numbers[16] = {};
  std::copy_n(from, count, numbers);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
}

void FixNumbers(const Bf16* from, int64_t count, __m256 inverse, Bf16* to) {
  constexpr int64_t kNumbers = 16;
  int64_t k = 0;
  for (; k + kNumbers <= count; k += kNumbers) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k),
                        Fix(LoadNumbers(from + k, kNumbers), inverse));
  }
  if (k < count) {
    Bf16 last[kNumbers];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(last),
                        Fix(LoadNumbers(from + k, count - k), inverse));
    std::copy_n(last, count - k, to + k);
  }
}

}  // namespace

// The rows of a tile as integers, (rows, segments * length).
void FixRows(const TileLeft::Parts& left, Bf16* to, float* scales) {
  constexpr int64_t kNumbers = 16;
  const Bf16Row& row = left.row;
  for (int64_t r = 0; r < left.count; ++r) {
    const Bf16* const from = left.rows[static_cast<size_t>(r)];
    __m256 squares = _mm256_setzero_ps();
    for (int64_t s = 0; s < row.segments; ++s) {
      for (int64_t k = 0; k < row.length; k += kNumbers) {
        squares =
            AddSquares(squares, LoadNumbers(from + s * row.segment_stride + k, row.length - k));
      }
    }
    const Fixing fixing = FixingOf(_mm256_set1_ps(SumOf({squares, _mm256_setzero_ps()})));
    scales[r] = _mm256_cvtss_f32(fixing.scale);
    for (int64_t s = 0; s < row.segments; ++s, to += row.length) {
      FixNumbers(from + s * row.segment_stride, row.length, fixing.inverse, to);
    }
  }
}

void FixNumbers(const Bf16* from, int64_t count, float squares, Bf16* to, float* scale) {
  const Fixing fixing = FixingOf(_mm256_set1_ps(squares));
  FixNumbers(from, count, fixing.inverse, to);
  *scale = _mm256_cvtss_f32(fixing.scale);
}

void FixColumns(Bf16* pairs, int64_t count, int64_t columns, int64_t stride, float* scales) {
  constexpr int64_t kVectors = 4, kBeside = 8 * kVectors;
  for (int64_t column = 0; column < columns; column += kBeside) {
    const auto at = [&](int64_t i, int64_t v) {
      return reinterpret_cast<__m256i*>(pairs + 2 * column + i * stride) + v;
    };
    __m256 squares[kVectors] = {};
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 4
      for (int64_t v = 0; v < kVectors; ++v) {
        squares[v] = AddSquares(squares[v], _mm256_loadu_si256(at(i, v)));
      }
    }
    __m256 inverses[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) {
      const Fixing fixing = FixingOf(squares[v]);
      inverses[v] = fixing.inverse;
      _mm256_storeu_ps(scales + column + 8 * v, fixing.scale);
    }
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 4
      for (int64_t v = 0; v < kVectors; ++v) {
        _mm256_storeu_si256(at(i, v), Fix(_mm256_loadu_si256(at(i, v)), inverses[v]));
      }
    }
  }
}

}  // namespace hidreamer::kernels::avx2
