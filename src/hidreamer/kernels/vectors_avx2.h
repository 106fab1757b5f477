// A vector is two registers of AVX2; what its functions do vectors_avx512.h says. Here bf16 numbers
// are multiplied as the f32 that they are the upper half of; tile_avx2.h multiplies rows and
// columns in fixed point. Included by vector_functions.h alone.
namespace hidreamer::kernels::avx2 {

struct Vector {
  __m256 low, high;
};
struct Bits {
  __m256i low, high;
};
using Mask = Bits;  // all bits of a lane, or none

inline Vector operator+(Vector a, Vector b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Vector operator-(Vector a, Vector b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Vector operator*(Vector a, Vector b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Vector Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vector Spread(float number) { return {_mm256_set1_ps(number), _mm256_set1_ps(number)}; }
inline Vector Load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void Store(float* to, Vector numbers) {
  _mm256_storeu_ps(to, numbers.low);
  _mm256_storeu_ps(to + 8, numbers.high);
}
inline Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
  return {_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)};
}
inline Vector SubtractProduct(Vector from, Vector a, Vector b) {
  return {_mm256_fnmadd_ps(a.low, b.low, from.low), _mm256_fnmadd_ps(a.high, b.high, from.high)};
}
inline Vector Largest(Vector a, Vector b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Vector Smallest(Vector a, Vector b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
// f(f(…)) of all lanes, halves against halves.
template <class F>
inline float Reduce(__m256 numbers, const F& f) {
  __m128 four = f(_mm256_castps256_ps128(numbers), _mm256_extractf128_ps(numbers, 1));
  four = f(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(f(four, _mm_shuffle_ps(four, four, 1)));
}
inline float SumOf(Vector numbers) {
  return Reduce(_mm256_add_ps(numbers.low, numbers.high),
                [](__m128 a, __m128 b) { return _mm_add_ps(a, b); });
}
inline float LargestOf(Vector numbers) {
  return Reduce(_mm256_max_ps(numbers.low, numbers.high),
                [](__m128 a, __m128 b) { return _mm_max_ps(a, b); });
}
inline float SmallestOf(Vector numbers) {
  return Reduce(_mm256_min_ps(numbers.low, numbers.high),
                [](__m128 a, __m128 b) { return _mm_min_ps(a, b); });
}

inline Bits NoBits() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline Bits SpreadBits(uint32_t bits) {
  const __m256i all = _mm256_set1_epi32(static_cast<int32_t>(bits));
  return {all, all};
}
inline Bits CountFrom(uint32_t first) {
  const __m256i low = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int32_t>(first)),
                                       _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  return {low, _mm256_add_epi32(low, _mm256_set1_epi32(8))};
}
inline Bits LoadBits(const void* from) {
  const auto* const at = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
inline Bits LoadBits(Mask lanes, const void* from) {
  const auto* const at = static_cast<const int*>(from);
  return {_mm256_maskload_epi32(at, lanes.low), _mm256_maskload_epi32(at + 8, lanes.high)};
}
inline void StoreBits(void* to, Bits bits) {
  auto* const at = static_cast<__m256i*>(to);
  _mm256_storeu_si256(at, bits.low);
  _mm256_storeu_si256(at + 1, bits.high);
}
inline Bits Or(Bits a, Bits b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
inline Bits Xor(Bits a, Bits b) {
  return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)};
}
inline Bits Times(Bits a, Bits b) {
  return {_mm256_mullo_epi32(a.low, b.low), _mm256_mullo_epi32(a.high, b.high)};
}
template <int kBy>
Bits ShiftLeft(Bits bits) {
  return {_mm256_slli_epi32(bits.low, kBy), _mm256_slli_epi32(bits.high, kBy)};
}
template <int kBy>
Bits ShiftRight(Bits bits) {
  return {_mm256_srli_epi32(bits.low, kBy), _mm256_srli_epi32(bits.high, kBy)};
}
inline Mask AtLeast(Bits a, Bits b) {
  return {_mm256_cmpeq_epi32(_mm256_max_epu32(a.low, b.low), a.low),
          _mm256_cmpeq_epi32(_mm256_max_epu32(a.high, b.high), a.high)};
}
inline Bits KeepWhere(Bits lit, Bits bits) {
  const __m256i zero = _mm256_setzero_si256();
  return {_mm256_andnot_si256(_mm256_cmpeq_epi32(lit.low, zero), bits.low),
          _mm256_andnot_si256(_mm256_cmpeq_epi32(lit.high, zero), bits.high)};
}

inline Mask LanesBetween(int64_t begin, int64_t end) {
  const auto bound = [](int64_t lane) {
    return static_cast<int>(std::clamp<int64_t>(lane, 0, 16));
  };
  const __m256i from = _mm256_set1_epi32(bound(begin)), to = _mm256_set1_epi32(bound(end));
  const auto between = [&](__m256i lane) {
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(from, lane), _mm256_cmpgt_epi32(to, lane));
  };
  const Bits lanes = CountFrom(0);
  return {between(lanes.low), between(lanes.high)};
}
inline Vector Load(Mask lanes, const float* from) {
  return {_mm256_maskload_ps(from, lanes.low), _mm256_maskload_ps(from + 8, lanes.high)};
}
inline Vector Load(Mask lanes, const float* from, Vector otherwise) {
  const Vector loaded = Load(lanes, from);
  return {_mm256_blendv_ps(otherwise.low, loaded.low, _mm256_castsi256_ps(lanes.low)),
          _mm256_blendv_ps(otherwise.high, loaded.high, _mm256_castsi256_ps(lanes.high))};
}
inline Vector Keep(Mask lanes, Vector numbers) {
  return {_mm256_and_ps(numbers.low, _mm256_castsi256_ps(lanes.low)),
          _mm256_and_ps(numbers.high, _mm256_castsi256_ps(lanes.high))};
}
inline uint32_t BitsOfAtMost(Vector a, Vector b) {
  const auto bits = [](__m256 x, __m256 y) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_LE_OQ)));
  };
  return bits(a.low, b.low) | bits(a.high, b.high) << 8;
}

inline Vector FromBytes(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}
inline Bits LoadHalves(const Bf16* from) {
  const auto* const at = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(at)),
          _mm256_cvtepu16_epi32(_mm_loadu_si128(at + 1))};
}
inline Bits LoadHalves(const Bf16* from, int64_t count) {
  if (count >= 16) {
    return LoadHalves(from);
  }
  Bf16 numbers[16] = {};
  std::copy_n(from, count, numbers);
  return LoadHalves(numbers);
}
inline Vector FromHalves(Bits halves) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(halves.low, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(halves.high, 16))};
}
inline __m256i ToHalves(__m256 numbers) {  // as ToBf16
  const __m256i bits = _mm256_castps_si256(numbers);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i no_number = _mm256_castps_si256(_mm256_cmp_ps(numbers, numbers, _CMP_UNORD_Q));
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc00000), no_number),
                           16);
}
inline Bits ToHalves(Vector numbers) { return {ToHalves(numbers.low), ToHalves(numbers.high)}; }
inline __m256i Pack(Bits halves) {  // 16 bf16 one behind the other
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(halves.low, halves.high), 0xd8);
}
inline void StoreBf16(Bf16* to, Vector numbers) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Pack(ToHalves(numbers)));
}
inline void StoreNumbers(Bf16* to, int64_t count, Bits bits) {
  Bf16 numbers[32];
  StoreBits(numbers, bits);
  std::copy_n(numbers, count, to);
}
inline void StoreBf16(Bf16* to, int64_t count, Vector numbers) {
  if (count >= 16) {
    StoreBf16(to, numbers);
    return;
  }
  Bf16 rounded[16];
  StoreBf16(rounded, numbers);
  std::copy_n(rounded, count, to);
}
inline Bits Rounded(Vector low, Vector high) { return {Pack(ToHalves(low)), Pack(ToHalves(high))}; }
inline Bits KeepWhereNumbers(Bits lit, Bits numbers) {
  const __m256i zero = _mm256_setzero_si256();
  return {_mm256_andnot_si256(_mm256_cmpeq_epi16(lit.low, zero), numbers.low),
          _mm256_andnot_si256(_mm256_cmpeq_epi16(lit.high, zero), numbers.high)};
}

struct Pair {
  __m256 even, odd;
};
inline Pair SpreadPair(const Bf16* pair) {
  return {_mm256_set1_ps(FromBf16(pair[0])), _mm256_set1_ps(FromBf16(pair[1]))};
}
// The first and the second numbers of 8 pairs, as f32.
inline __m256 EvenOf(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
inline __m256 OddOf(__m256i pairs) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}
inline Vector AddProducts(Vector sums, Pair pair, const Bf16* pairs) {
  const Bits bits = LoadBits(pairs);
  const auto add = [&](__m256 sum, __m256i of) {
    return _mm256_fmadd_ps(pair.odd, OddOf(of), _mm256_fmadd_ps(pair.even, EvenOf(of), sum));
  };
  return {add(sums.low, bits.low), add(sums.high, bits.high)};
}

// 8 x 8 numbers of 32 bits.
inline void Transpose(__m256i rows[8]) {
  __m256i pairs[8], fours[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int half = 0; half < 2; ++half) {
      fours[i + 2 * half] = _mm256_unpacklo_epi64(pairs[i + half], pairs[i + half + 2]);
      fours[i + 2 * half + 1] = _mm256_unpackhi_epi64(pairs[i + half], pairs[i + half + 2]);
    }
  }
  // fours[4 g + c] holds column c of rows 4 g to 4 g + 3 in its lower, c + 4 in its upper half.
  for (int c = 0; c < 4; ++c) {
    rows[c] = _mm256_permute2x128_si256(fours[c], fours[4 + c], 0x20);
    rows[c + 4] = _mm256_permute2x128_si256(fours[c], fours[4 + c], 0x31);
  }
}
inline void Transpose(Bits rows[16]) {
  __m256i blocks[2][2][8];  // of rows, of columns
  for (int i = 0; i < 8; ++i) {
    blocks[0][0][i] = rows[i].low;
    blocks[0][1][i] = rows[i].high;
    blocks[1][0][i] = rows[8 + i].low;
    blocks[1][1][i] = rows[8 + i].high;
  }
  for (auto& of_rows : blocks) {
    for (auto& block : of_rows) {
      Transpose(block);
    }
  }
  for (int i = 0; i < 8; ++i) {
    rows[i] = {blocks[0][0][i], blocks[1][0][i]};
    rows[8 + i] = {blocks[0][1][i], blocks[1][1][i]};
  }
}

}  // namespace hidreamer::kernels::avx2
