// A vector is one register. Included by vector_functions.h alone.
namespace hidreamer::kernels::avx512 {

using Vector = __m512;  // 16 f32; + - * are the compiler's
using Bits = __m512i;   // 16 whole numbers of 32 bits
using Mask = __mmask16;

inline Vector Zero() { return _mm512_setzero_ps(); }
inline Vector Spread(float number) { return _mm512_set1_ps(number); }
inline Vector Load(const float* from) { return _mm512_loadu_ps(from); }
inline void Store(float* to, Vector numbers) { _mm512_storeu_ps(to, numbers); }
inline Vector MultiplyAdd(Vector a, Vector b, Vector sum) { return _mm512_fmadd_ps(a, b, sum); }
inline Vector SubtractProduct(Vector from, Vector a, Vector b) {
  return _mm512_fnmadd_ps(a, b, from);
}
inline Vector Largest(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector Smallest(Vector a, Vector b) { return _mm512_min_ps(a, b); }
inline float SumOf(Vector numbers) { return _mm512_reduce_add_ps(numbers); }
inline float LargestOf(Vector numbers) { return _mm512_reduce_max_ps(numbers); }
inline float SmallestOf(Vector numbers) { return _mm512_reduce_min_ps(numbers); }

// The lanes from `begin` to `end`, of 16; both may lie outside.
inline Mask LanesBetween(int64_t begin, int64_t end) {
  const auto below = [](int64_t lane) {
    return lane >= 16 ? 0xffffu : lane <= 0 ? 0u : (1u << lane) - 1;
  };
  return static_cast<Mask>(below(end) & ~below(begin));
}
inline Vector Load(Mask lanes, const float* from, Vector otherwise) {
  return _mm512_mask_loadu_ps(otherwise, lanes, from);
}
inline Vector Load(Mask lanes, const float* from) { return _mm512_maskz_loadu_ps(lanes, from); }
inline Vector Keep(Mask lanes, Vector numbers) { return _mm512_maskz_mov_ps(lanes, numbers); }
// A bit for each lane with a <= b.
inline uint32_t BitsOfAtMost(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }

inline Bits NoBits() { return _mm512_setzero_si512(); }
inline Bits SpreadBits(uint32_t bits) { return _mm512_set1_epi32(static_cast<int32_t>(bits)); }
inline Bits CountFrom(uint32_t first) {  // first, first + 1, …
  return _mm512_add_epi32(SpreadBits(first),
                          _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}
inline Bits LoadBits(const void* from) { return _mm512_loadu_si512(from); }
inline Bits LoadBits(Mask lanes, const void* from) {  // 0 elsewhere
  return _mm512_maskz_loadu_epi32(lanes, from);
}
inline void StoreBits(void* to, Bits bits) { _mm512_storeu_si512(to, bits); }
inline Bits Or(Bits a, Bits b) { return _mm512_or_si512(a, b); }
inline Bits Xor(Bits a, Bits b) { return _mm512_xor_si512(a, b); }
inline Bits Times(Bits a, Bits b) { return _mm512_mullo_epi32(a, b); }  // modulo 2^32
template <int kBy>
Bits ShiftLeft(Bits bits) {
  return _mm512_slli_epi32(bits, kBy);
}
template <int kBy>
Bits ShiftRight(Bits bits) {
  return _mm512_srli_epi32(bits, kBy);
}
inline Mask AtLeast(Bits a, Bits b) { return _mm512_cmpge_epu32_mask(a, b); }  // without signs
inline Bits KeepWhere(Bits lit, Bits bits) {                                   // 0 where lit is 0
  return _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(lit, lit), bits);
}

inline Vector FromBytes(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); }
// 16 bf16, each in the lower half of 32 bits.
inline Bits LoadHalves(const Bf16* from) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Bits LoadHalves(const Bf16* from, int64_t count) {  // of the first lanes, 0 elsewhere
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(LanesBetween(0, count), from));
}
inline Bits ToHalves(Vector numbers) {  // rounded to nearest
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
}
inline Vector FromHalves(Bits halves) { return _mm512_castsi512_ps(ShiftLeft<16>(halves)); }
inline void StoreBf16(Bf16* to, Vector numbers) {  // 16, rounded to nearest
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
}
inline void StoreBf16(Bf16* to, int64_t count, Vector numbers) {  // the first of them
  _mm256_mask_storeu_epi16(to, LanesBetween(0, count),
                           reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
}
// The first `count` of the 32 numbers that the bits are.
inline void StoreNumbers(Bf16* to, int64_t count, Bits bits) {
  _mm512_mask_storeu_epi16(to, static_cast<__mmask32>((uint64_t{1} << count) - 1), bits);
}
inline Bits Rounded(Vector low, Vector high) {  // 32 numbers
  return reinterpret_cast<Bits>(_mm512_cvtne2ps_pbh(high, low));
}
inline Bits KeepWhereNumbers(Bits lit, Bits numbers) {  // 32 bf16: 0 where lit's is
  return _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(lit, lit), numbers);
}

// A pair of bf16 for all lanes, and sums + its product with 16 pairs.
using Pair = __m512bh;
inline Pair SpreadPair(const Bf16* pair) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof(both));
  return reinterpret_cast<Pair>(_mm512_set1_epi32(both));
}
inline Vector AddProducts(Vector sums, Pair pair, const Bf16* pairs) {
  return _mm512_dpbf16_ps(sums, pair, reinterpret_cast<__m512bh>(_mm512_loadu_si512(pairs)));
}

// 16 x 16 numbers of 32 bits.
inline void Transpose(Bits rows[16]) {
  Bits pairs[16], fours[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int half = 0; half < 2; ++half) {
      fours[i + 2 * half] = _mm512_unpacklo_epi64(pairs[i + half], pairs[i + half + 2]);
      fours[i + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[i + half], pairs[i + half + 2]);
    }
  }
  // fours[4 g + c] now holds column c of rows 4 g to 4 g + 3 in its first quarter, column c + 4 in
  // its second, and so on.
  for (int c = 0; c < 4; ++c) {
    const Bits even_low = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    const Bits odd_low = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd);
    const Bits even_high = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const Bits odd_high = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
    rows[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    rows[c + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    rows[c + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    rows[c + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

}  // namespace hidreamer::kernels::avx512
