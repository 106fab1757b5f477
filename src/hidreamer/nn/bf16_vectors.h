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

}  // namespace hidreamer::nn
HID_END_BF16_TARGET
#endif
