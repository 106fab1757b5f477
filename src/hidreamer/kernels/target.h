#pragma once

// Kernels for bf16 numbers are written once, over the vectors of vectors.h, and compiled for
// each set of instructions, whatever the rest of the program is compiled for (the idea is that of
// Highway's foreach_target.h). A source of kernels has two parts:
//
//   #ifndef HID_TARGET
//   (all #includes)
//   #define HID_KERNELS "hidreamer/kernels/this_file.cc"
//   #include "hidreamer/kernels/each_target.h"
//   (functions that call those of the set used here: HID_DISPATCH(Function(arguments)))
//   #else
//   namespace hidreamer::kernels::HID_TARGET { (the kernels) }
//   #endif
//
// They may be called only where HasBf16Kernels().
//
// Clang takes more than five minutes for gemm.cc under AddressSanitizer: without them there. GCC
// takes one.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HID_NO_BF16_KERNELS
#endif
#endif
#if defined(__x86_64__) && defined(__GNUC__) && !defined(HID_NO_BF16_KERNELS)
#define HID_BF16_KERNELS

#include <immintrin.h>

#define HID_DISPATCH(...)                                                                \
  (::hidreamer::kernels::Bf16KernelsHere() == ::hidreamer::kernels::Bf16Kernels::kAvx512 \
       ? avx512::__VA_ARGS__                                                             \
       : avx2::__VA_ARGS__)

#define HID_DISPATCH_AVX2(...) avx2::__VA_ARGS__  // where there is nothing for AVX-512

// Between HID_BEGIN_… and HID_END_TARGET functions are compiled for that set.
// clang-format off
#ifdef __clang__
#define HID_FOR(set) _Pragma(HID_TEXT(clang attribute push(__attribute__((target(set))), apply_to = function)))
#define HID_TEXT(words) #words
#define HID_BEGIN_AVX512 HID_FOR("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
#define HID_BEGIN_AVX2 HID_FOR("avx2,fma,bmi,bmi2")
#define HID_END_TARGET _Pragma("clang attribute pop")
#else
// The warnings are of gcc 12's own headers.
#define HID_QUIET                                                                                   \
  _Pragma("GCC diagnostic push")                                                                    \
  _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")                                             \
  _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
#define HID_BEGIN_AVX512                                                                            \
  _Pragma("GCC push_options")                                                                       \
  _Pragma("GCC target(\"avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16\")")                 \
  _Pragma("GCC target(\"prefer-vector-width=512\")")                                                \
  HID_QUIET
#define HID_BEGIN_AVX2                                                                              \
  _Pragma("GCC push_options")                                                                       \
  _Pragma("GCC target(\"avx2,fma,bmi,bmi2\")")                                                      \
  HID_QUIET
#define HID_END_TARGET _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")
#endif
// clang-format on

#else

#define HID_DISPATCH(...) ::hidreamer::kernels::NoBf16Kernels()
#define HID_DISPATCH_AVX2(...) ::hidreamer::kernels::NoBf16Kernels()
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"

#endif
