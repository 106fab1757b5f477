#pragma once

#include "hidreamer/nn/bf16_product.h"
#include "hidreamer/nn/bf16_target.h"

// Loads and stores of bf16 numbers for kernels between HID_BEGIN_BF16_TARGET and
// HID_END_BF16_TARGET.
#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET
namespace hidreamer::nn {

inline __m512bh LoadPairs(const Bf16* from) {  // 32 numbers
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
}

inline __m512 LoadBf16(const Bf16* from) {  // 16 numbers as f32
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

inline void StoreBf16(Bf16* to, __m512 numbers) {  // 16, rounded to nearest
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
}

// The first `left` of 16 lanes, all where there are more: the end of a row.
inline __mmask16 MaskOf(int64_t left) {
  return static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1);
}

inline void Narrow(const float* from, int64_t count, Bf16* to) {  // rounded to nearest
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = MaskOf(count - i);
    const __m512 numbers = _mm512_maskz_loadu_ps(mask, from + i);
    _mm256_mask_storeu_epi16(to + i, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
  }
}

// f of each of 16 numbers; f is inlined and the loop becomes vectors again.
template <class Function>
inline __m512 EachOf(__m512 numbers, const Function& f) {
  float each[16];
  _mm512_storeu_ps(each, numbers);
  for (float& number : each) {
    number = f(number);
  }
  return _mm512_loadu_ps(each);
}

inline __m512i LowHalves(const Bf16* from) {  // 16 numbers, each in the lower half of 32 bits
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// out (32, 2) = {first[i], second[i]}; without a second, 0.
inline void StoreAsPairs(const Bf16* first, const Bf16* second, Bf16* out) {
  for (int64_t j = 0; j < 32; j += 16) {
    __m512i pairs = LowHalves(first + j);
    if (second != nullptr) {
      pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(LowHalves(second + j), 16));
    }
    _mm512_storeu_si512(out + 2 * j, pairs);
  }
}

// sums (32) += both numbers of `count` rows of pairs, each `stride` after the one before.
inline void AddPairs(const Bf16* pairs, int64_t count, int64_t stride, float* sums) {
  const auto one = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));
  __m512 low = _mm512_loadu_ps(sums), high = _mm512_loadu_ps(sums + 16);
  for (int64_t i = 0; i < count; ++i, pairs += stride) {
    low = _mm512_dpbf16_ps(low, LoadPairs(pairs), one);
    high = _mm512_dpbf16_ps(high, LoadPairs(pairs + 32), one);
  }
  _mm512_storeu_ps(sums, low);
  _mm512_storeu_ps(sums + 16, high);
}

// 16 x 16 numbers of 32 bits.
inline void Transpose(__m512i rows[16]) {
  __m512i pairs[16], fours[16];
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
    const __m512i even_low = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd);
    const __m512i even_high = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
    rows[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    rows[c + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    rows[c + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    rows[c + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

}  // namespace hidreamer::nn
HID_END_BF16_TARGET
#endif
