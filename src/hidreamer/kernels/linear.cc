#include "hidreamer/kernels/linear.h"

#include <utility>

// Vectors are passed between inlined functions alone, so how they would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

// Tiles of 4 rows by 3 outputs: 12 sums, 3 weights and a row fit the 16 vector registers of AVX2,
// and 12 multiply-adds go with 7 loads. Weights are read once, in the order in which they lie.
namespace hidreamer::kernels {
namespace {

constexpr int kRows = 4, kOutputs = 3;
#define HID_INLINE __attribute__((always_inline)) inline

template <int kLanes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kLanes * sizeof(float))));
  typedef float Unaligned
      __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));
};

template <int kLanes>
HID_INLINE float Total(typename VectorOf<kLanes>::Type v) {
  if constexpr (kLanes == 4) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    const auto halves = [&]<int... kI>(std::integer_sequence<int, kI...>)
        __attribute__((always_inline)) {
      return __builtin_shufflevector(v, v, kI...) +
             __builtin_shufflevector(v, v, (kI + kLanes / 2)...);
    };
    return Total<kLanes / 2>(halves(std::make_integer_sequence<int, kLanes / 2>()));
  }
}

template <int kLanes, int kR, int kO>
HID_INLINE void Tile(const float* x, int64_t inner, const float* weight, const float* bias,
                     float* out, int64_t stride) {
  using Vector = typename VectorOf<kLanes>::Type;
  using Unaligned = typename VectorOf<kLanes>::Unaligned;
  Vector sums[kR][kO] = {};
  const int64_t whole = inner - inner % kLanes;
  for (int64_t k = 0; k < whole; k += kLanes) {
    Vector w[kO];
#pragma GCC unroll 4
    for (int o = 0; o < kO; ++o) {
      w[o] = *reinterpret_cast<const Unaligned*>(weight + o * inner + k);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
      const Vector row = *reinterpret_cast<const Unaligned*>(x + r * inner + k);
#pragma GCC unroll 4
      for (int o = 0; o < kO; ++o) {
        sums[r][o] += row * w[o];
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int o = 0; o < kO; ++o) {
      float sum = Total<kLanes>(sums[r][o]);
      for (int64_t k = whole; k < inner; ++k) {
        sum += x[r * inner + k] * weight[o * inner + k];
      }
      out[r * stride + o] = sum + bias[o];
    }
  }
}

template <int kLanes, int kO>
HID_INLINE void Column(const float* x, int64_t rows, int64_t inner, const float* weight,
                       const float* bias, float* out, int64_t stride) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    Tile<kLanes, kRows, kO>(x + r * inner, inner, weight, bias, out + r * stride, stride);
  }
  for (; r < rows; ++r) {
    Tile<kLanes, 1, kO>(x + r * inner, inner, weight, bias, out + r * stride, stride);
  }
}

template <int kLanes>
HID_INLINE void Multiply(const float* x, int64_t rows, int64_t inner, const float* weight,
                         const float* bias, int64_t outputs, float* out, int64_t stride) {
  int64_t o = 0;
  for (; o + kOutputs <= outputs; o += kOutputs) {
    Column<kLanes, kOutputs>(x, rows, inner, weight + o * inner, bias + o, out + o, stride);
  }
  for (; o < outputs; ++o) {
    Column<kLanes, 1>(x, rows, inner, weight + o * inner, bias + o, out + o, stride);
  }
}

using Kernel = void (*)(const float*, int64_t, int64_t, const float*, const float*, int64_t, float*,
                        int64_t);

void MultiplyPlain(const float* x, int64_t rows, int64_t inner, const float* weight,
                   const float* bias, int64_t outputs, float* out, int64_t stride) {
  Multiply<4>(x, rows, inner, weight, bias, outputs, out, stride);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) void MultiplyAvx2(const float* x, int64_t rows, int64_t inner,
                                                      const float* weight, const float* bias,
                                                      int64_t outputs, float* out, int64_t stride) {
  Multiply<8>(x, rows, inner, weight, bias, outputs, out, stride);
}

__attribute__((target("avx512f"))) void MultiplyAvx512(const float* x, int64_t rows, int64_t inner,
                                                       const float* weight, const float* bias,
                                                       int64_t outputs, float* out,
                                                       int64_t stride) {
  Multiply<16>(x, rows, inner, weight, bias, outputs, out, stride);
}

Kernel Choose() {
  if (__builtin_cpu_supports("avx512f")) {
    return MultiplyAvx512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? MultiplyAvx2
                                                                         : MultiplyPlain;
}
#else
Kernel Choose() { return MultiplyPlain; }
#endif

}  // namespace

void FewRowsLinear(const float* x, int64_t rows, int64_t inner, const float* weight,
                   const float* bias, int64_t outputs, float* out, int64_t stride) {
  static const Kernel kernel = Choose();
  kernel(x, rows, inner, weight, bias, outputs, out, stride);
}

}  // namespace hidreamer::kernels
