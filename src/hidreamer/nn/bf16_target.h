#pragma once

// For the sources of bf16 kernels: functions between HID_BEGIN_BF16_TARGET and HID_END_BF16_TARGET
// are compiled for AVX-512 with BF16, whatever the rest of the program is compiled for, and may be
// called only where nn::HasBf16Kernels(). Include other headers before the first of them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define HID_BF16_KERNELS

#include <immintrin.h>

// The warnings are of gcc 12's own headers.
// clang-format off
#define HID_BEGIN_BF16_TARGET                                                                       \
  _Pragma("GCC push_options")                                                                       \
  _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16\")")                 \
  _Pragma("GCC target(\"prefer-vector-width=512\")")                                                \
  _Pragma("GCC diagnostic push")                                                                    \
  _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")                                             \
  _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
// clang-format on
#define HID_END_BF16_TARGET _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")

#endif
