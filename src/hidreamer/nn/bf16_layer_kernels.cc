#include "hidreamer/nn/bf16_layer_kernels.h"

#include <cmath>

#include "hidreamer/nn/bf16_vectors.h"
#include "hidreamer/nn/vector_math.h"

namespace hidreamer::nn {

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

constexpr int64_t kLanes = 16;

// Keeps() of 16 elements from `index` on, written out: the compiler's version of a loop of it takes
// twice as long.
inline __mmask16 KeptOf(const DropoutPlan& plan, uint32_t index) {
  const auto whole = [](uint32_t number) { return static_cast<int32_t>(number); };
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __m512i x = _mm512_add_epi32(_mm512_set1_epi32(whole(index)), lanes);
  x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_set1_epi32(whole(plan.key[0]))),
                         _mm512_set1_epi32(whole(kHashFactors[0])));
  x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
  x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_set1_epi32(whole(plan.key[1]))),
                         _mm512_set1_epi32(whole(kHashFactors[1])));
  x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
  x = _mm512_mullo_epi32(x, _mm512_set1_epi32(whole(kHashFactors[2])));
  x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
  return _mm512_cmpge_epu32_mask(x, _mm512_set1_epi32(whole(plan.threshold)));
}

// numbers (16) from element `index` on, after dropout. The factor is made first: a multiplication
// under a mask took ten times as long on Zen 5.
inline __m512 Drop(const DropoutPlan& plan, int64_t index, __m512 numbers) {
  if (plan.threshold == 0) {
    return numbers;
  }
  const __m512 factor =
      _mm512_maskz_mov_ps(KeptOf(plan, static_cast<uint32_t>(index)), _mm512_set1_ps(plan.scale));
  return _mm512_mul_ps(numbers, factor);
}

struct RowStatistics {
  float mean, scale;  // scale: 1 / standard deviation
};
RowStatistics StatisticsOf(const float* row, int64_t width, float epsilon) {
  __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < width; i += kLanes) {
    sum = _mm512_add_ps(sum, _mm512_loadu_ps(row + i));
  }
  const float mean = _mm512_reduce_add_ps(sum) / static_cast<float>(width);
  for (int64_t i = 0; i < width; i += kLanes) {
    const __m512 off = _mm512_sub_ps(_mm512_loadu_ps(row + i), _mm512_set1_ps(mean));
    squares = _mm512_fmadd_ps(off, off, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / static_cast<float>(width);
  return {mean, 1 / std::sqrt(variance + epsilon)};
}

inline __m512 NormalizedOf(const RowStatistics& row, const float* x, const float* weight,
                           const float* bias) {
  const __m512 off = _mm512_sub_ps(_mm512_loadu_ps(x), _mm512_set1_ps(row.mean));
  return _mm512_fmadd_ps(_mm512_mul_ps(off, _mm512_set1_ps(row.scale)), _mm512_loadu_ps(weight),
                         _mm512_loadu_ps(bias));
}

}  // namespace

void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, Bf16* out, float* statistics) {
  for (int64_t r = 0; r < rows; ++r, x += width, out += width) {
    const RowStatistics row = StatisticsOf(x, width, epsilon);
    for (int64_t i = 0; i < width; i += kLanes) {
      StoreBf16(out + i, NormalizedOf(row, x + i, weight + i, bias + i));
    }
    if (statistics != nullptr) {
      statistics[2 * r] = row.mean;
      statistics[2 * r + 1] = row.scale;
    }
  }
}

void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, float* out) {
  for (int64_t r = 0; r < rows; ++r, x += width, out += width) {
    const RowStatistics row = StatisticsOf(x, width, epsilon);
    for (int64_t i = 0; i < width; i += kLanes) {
      _mm512_storeu_ps(out + i, NormalizedOf(row, x + i, weight + i, bias + i));
    }
  }
}

void NormalizeRowsBackward(const float* x, const float* weight, const float* statistics,
                           const Bf16* gradient, const float* other_gradient, int64_t rows,
                           int64_t width, float* x_gradient, float* weight_gradient,
                           float* bias_gradient) {
  for (int64_t r = 0; r < rows;
       ++r, x += width, gradient += width, other_gradient += width, x_gradient += width) {
    const __m512 mean = _mm512_set1_ps(statistics[2 * r]);
    const __m512 scale = _mm512_set1_ps(statistics[2 * r + 1]);
    __m512 sum = _mm512_setzero_ps(), dot = _mm512_setzero_ps();
    for (int64_t i = 0; i < width; i += kLanes) {
      const __m512 upstream = LoadBf16(gradient + i);
      const __m512 normed = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), scale);
      const __m512 through = _mm512_mul_ps(upstream, _mm512_loadu_ps(weight + i));
      sum = _mm512_add_ps(sum, through);
      dot = _mm512_fmadd_ps(through, normed, dot);
      _mm512_storeu_ps(weight_gradient + i,
                       _mm512_fmadd_ps(upstream, normed, _mm512_loadu_ps(weight_gradient + i)));
      _mm512_storeu_ps(bias_gradient + i,
                       _mm512_add_ps(upstream, _mm512_loadu_ps(bias_gradient + i)));
    }
    const auto count = static_cast<float>(width);
    const __m512 mean_through = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / count);
    const __m512 mean_dot = _mm512_set1_ps(_mm512_reduce_add_ps(dot) / count);
    for (int64_t i = 0; i < width; i += kLanes) {
      const __m512 normed = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), scale);
      const __m512 through = _mm512_mul_ps(LoadBf16(gradient + i), _mm512_loadu_ps(weight + i));
      const __m512 centred =
          _mm512_fnmadd_ps(normed, mean_dot, _mm512_sub_ps(through, mean_through));
      _mm512_storeu_ps(x_gradient + i,
                       _mm512_fmadd_ps(centred, scale, _mm512_loadu_ps(other_gradient + i)));
    }
  }
}

void BiasGeluDropoutRows(const Bf16* x, const float* bias, const DropoutPlan& plan, uint32_t index,
                         int64_t rows, int64_t width, Bf16* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const __m512 biased = _mm512_add_ps(LoadBf16(x + at), _mm512_loadu_ps(bias + i));
      StoreBf16(out + at, Drop(plan, index + at, EachOf(biased, Gelu)));
    }
  }
}

void BiasGeluDropoutRowsBackward(const Bf16* x, const float* bias, const DropoutPlan& plan,
                                 uint32_t index, const Bf16* gradient, int64_t rows, int64_t width,
                                 Bf16* x_gradient, float* bias_gradient) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const __m512 biased = _mm512_add_ps(LoadBf16(x + at), _mm512_loadu_ps(bias + i));
      const __m512 upstream = Drop(plan, index + at, LoadBf16(gradient + at));
      const __m512 through = _mm512_mul_ps(upstream, EachOf(biased, GeluDerivative));
      StoreBf16(x_gradient + at, through);
      _mm512_storeu_ps(bias_gradient + i,
                       _mm512_add_ps(through, _mm512_loadu_ps(bias_gradient + i)));
    }
  }
}

void BiasDropoutAddRows(const float* residual, const Bf16* x, const float* bias,
                        const DropoutPlan& plan, uint32_t index, int64_t rows, int64_t width,
                        float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const __m512 numbers = _mm512_add_ps(LoadBf16(x + at), _mm512_loadu_ps(bias + i));
      _mm512_storeu_ps(
          out + at, _mm512_add_ps(_mm512_loadu_ps(residual + at), Drop(plan, index + at, numbers)));
    }
  }
}

void BiasDropoutAddRowsBackward(const DropoutPlan& plan, uint32_t index, const float* gradient,
                                int64_t rows, int64_t width, Bf16* x_gradient,
                                float* bias_gradient) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const __m512 through = Drop(plan, index + at, _mm512_loadu_ps(gradient + at));
      StoreBf16(x_gradient + at, through);
      _mm512_storeu_ps(bias_gradient + i,
                       _mm512_add_ps(through, _mm512_loadu_ps(bias_gradient + i)));
    }
  }
}

void SiluNumbers(const Bf16* x, int64_t n, Bf16* out) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = ToBf16(Silu(FromBf16(x[i])));
  }
}

void SiluNumbersBackward(const Bf16* x, const Bf16* gradient, int64_t n, Bf16* x_gradient) {
  for (int64_t i = 0; i < n; ++i) {
    x_gradient[i] = ToBf16(FromBf16(gradient[i]) * SiluDerivative(FromBf16(x[i])));
  }
}

HID_END_BF16_TARGET
#else

void NormalizeRows(const float*, const float*, const float*, float, int64_t, int64_t, Bf16*,
                   float*) {}
void NormalizeRows(const float*, const float*, const float*, float, int64_t, int64_t, float*) {}
void NormalizeRowsBackward(const float*, const float*, const float*, const Bf16*, const float*,
                           int64_t, int64_t, float*, float*, float*) {}
void BiasGeluDropoutRows(const Bf16*, const float*, const DropoutPlan&, uint32_t, int64_t, int64_t,
                         Bf16*) {}
void BiasGeluDropoutRowsBackward(const Bf16*, const float*, const DropoutPlan&, uint32_t,
                                 const Bf16*, int64_t, int64_t, Bf16*, float*) {}
void BiasDropoutAddRows(const float*, const Bf16*, const float*, const DropoutPlan&, uint32_t,
                        int64_t, int64_t, float*) {}
void BiasDropoutAddRowsBackward(const DropoutPlan&, uint32_t, const float*, int64_t, int64_t, Bf16*,
                                float*) {}
void SiluNumbers(const Bf16*, int64_t, Bf16*) {}
void SiluNumbersBackward(const Bf16*, const Bf16*, int64_t, Bf16*) {}

#endif

}  // namespace hidreamer::nn
