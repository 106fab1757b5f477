#ifndef HID_TARGET

#include "hidreamer/kernels/norm_activation.h"

#include <cmath>

#include "hidreamer/kernels/vector_math.h"
#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/norm_activation.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, Bf16* out, float* statistics) {
  HID_DISPATCH(NormalizeRows(x, weight, bias, epsilon, rows, width, out, statistics));
}

void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, float* out) {
  HID_DISPATCH(NormalizeRows(x, weight, bias, epsilon, rows, width, out));
}

void NormalizeRowsBackward(const float* x, const float* weight, const float* statistics,
                           const Bf16* gradient, const float* other_gradient, int64_t rows,
                           int64_t width, float* x_gradient, float* weight_gradient,
                           float* bias_gradient) {
  HID_DISPATCH(NormalizeRowsBackward(x, weight, statistics, gradient, other_gradient, rows, width,
                                     x_gradient, weight_gradient, bias_gradient));
}

void BiasGeluDropoutRows(const Bf16* x, const float* bias, const DropoutPlan& plan, uint32_t index,
                         int64_t rows, int64_t width, Bf16* out) {
  HID_DISPATCH(BiasGeluDropoutRows(x, bias, plan, index, rows, width, out));
}

void BiasGeluDropoutRowsBackward(const Bf16* x, const float* bias, const DropoutPlan& plan,
                                 uint32_t index, const Bf16* gradient, int64_t rows, int64_t width,
                                 Bf16* x_gradient, float* bias_gradient) {
  HID_DISPATCH(BiasGeluDropoutRowsBackward(x, bias, plan, index, gradient, rows, width, x_gradient,
                                           bias_gradient));
}

void BiasDropoutAddRows(const float* residual, const Bf16* x, const float* bias,
                        const DropoutPlan& plan, uint32_t index, int64_t rows, int64_t width,
                        float* out) {
  HID_DISPATCH(BiasDropoutAddRows(residual, x, bias, plan, index, rows, width, out));
}

void BiasDropoutAddRowsBackward(const DropoutPlan& plan, uint32_t index, const float* gradient,
                                int64_t rows, int64_t width, Bf16* x_gradient,
                                float* bias_gradient) {
  HID_DISPATCH(
      BiasDropoutAddRowsBackward(plan, index, gradient, rows, width, x_gradient, bias_gradient));
}

void SiluNumbers(const Bf16* x, int64_t n, Bf16* out) { HID_DISPATCH(SiluNumbers(x, n, out)); }

void SiluNumbersBackward(const Bf16* x, const Bf16* gradient, int64_t n, Bf16* x_gradient) {
  HID_DISPATCH(SiluNumbersBackward(x, gradient, n, x_gradient));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

// Keeps() of 16 elements from `index` on, written out: the compiler's version of a loop of it takes
// twice as long.
inline Mask KeptOf(const DropoutPlan& plan, uint32_t index) {
  Bits x = CountFrom(index);
  x = Times(Xor(x, SpreadBits(plan.key[0])), SpreadBits(kHashFactors[0]));
  x = Xor(x, ShiftRight<16>(x));
  x = Times(Xor(x, SpreadBits(plan.key[1])), SpreadBits(kHashFactors[1]));
  x = Xor(x, ShiftRight<15>(x));
  x = Times(x, SpreadBits(kHashFactors[2]));
  x = Xor(x, ShiftRight<16>(x));
  return AtLeast(x, SpreadBits(plan.threshold));
}

// numbers (16) from element `index` on, after dropout. The factor is made first: a multiplication
// under a mask took ten times as long on Zen 5.
inline Vector Drop(const DropoutPlan& plan, int64_t index, Vector numbers) {
  if (plan.threshold == 0) {
    return numbers;
  }
  const Vector factor = Keep(KeptOf(plan, static_cast<uint32_t>(index)), Spread(plan.scale));
  return numbers * factor;
}

struct RowStatistics {
  float mean, scale;  // scale: 1 / standard deviation
};
RowStatistics StatisticsOf(const float* row, int64_t width, float epsilon) {
  Vector sum = Zero(), squares = Zero();
  for (int64_t i = 0; i < width; i += kLanes) {
    sum = sum + Load(row + i);
  }
  const float mean = SumOf(sum) / static_cast<float>(width);
  for (int64_t i = 0; i < width; i += kLanes) {
    const Vector off = Load(row + i) - Spread(mean);
    squares = MultiplyAdd(off, off, squares);
  }
  const float variance = SumOf(squares) / static_cast<float>(width);
  return {mean, 1 / std::sqrt(variance + epsilon)};
}

inline Vector NormalizedOf(const RowStatistics& row, const float* x, const float* weight,
                           const float* bias) {
  const Vector off = Load(x) - Spread(row.mean);
  return MultiplyAdd(off * Spread(row.scale), Load(weight), Load(bias));
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
      Store(out + i, NormalizedOf(row, x + i, weight + i, bias + i));
    }
  }
}

void NormalizeRowsBackward(const float* x, const float* weight, const float* statistics,
                           const Bf16* gradient, const float* other_gradient, int64_t rows,
                           int64_t width, float* x_gradient, float* weight_gradient,
                           float* bias_gradient) {
  for (int64_t r = 0; r < rows;
       ++r, x += width, gradient += width, other_gradient += width, x_gradient += width) {
    const Vector mean = Spread(statistics[2 * r]);
    const Vector scale = Spread(statistics[2 * r + 1]);
    Vector sum = Zero(), dot = Zero();
    for (int64_t i = 0; i < width; i += kLanes) {
      const Vector upstream = LoadBf16(gradient + i);
      const Vector normed = (Load(x + i) - mean) * scale;
      const Vector through = upstream * Load(weight + i);
      sum = sum + through;
      dot = MultiplyAdd(through, normed, dot);
      Store(weight_gradient + i, MultiplyAdd(upstream, normed, Load(weight_gradient + i)));
      Store(bias_gradient + i, upstream + Load(bias_gradient + i));
    }
    const auto count = static_cast<float>(width);
    const Vector mean_through = Spread(SumOf(sum) / count);
    const Vector mean_dot = Spread(SumOf(dot) / count);
    for (int64_t i = 0; i < width; i += kLanes) {
      const Vector normed = (Load(x + i) - mean) * scale;
      const Vector through = LoadBf16(gradient + i) * Load(weight + i);
      const Vector centred = SubtractProduct(through - mean_through, normed, mean_dot);
      Store(x_gradient + i, MultiplyAdd(centred, scale, Load(other_gradient + i)));
    }
  }
}

void BiasGeluDropoutRows(const Bf16* x, const float* bias, const DropoutPlan& plan, uint32_t index,
                         int64_t rows, int64_t width, Bf16* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const Vector biased = LoadBf16(x + at) + Load(bias + i);
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
      const Vector biased = LoadBf16(x + at) + Load(bias + i);
      const Vector upstream = Drop(plan, index + at, LoadBf16(gradient + at));
      const Vector through = upstream * EachOf(biased, GeluDerivative);
      StoreBf16(x_gradient + at, through);
      Store(bias_gradient + i, through + Load(bias_gradient + i));
    }
  }
}

void BiasDropoutAddRows(const float* residual, const Bf16* x, const float* bias,
                        const DropoutPlan& plan, uint32_t index, int64_t rows, int64_t width,
                        float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const Vector numbers = LoadBf16(x + at) + Load(bias + i);
      Store(out + at, Load(residual + at) + Drop(plan, index + at, numbers));
    }
  }
}

void BiasDropoutAddRowsBackward(const DropoutPlan& plan, uint32_t index, const float* gradient,
                                int64_t rows, int64_t width, Bf16* x_gradient,
                                float* bias_gradient) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t at = r * width + i;
      const Vector through = Drop(plan, index + at, Load(gradient + at));
      StoreBf16(x_gradient + at, through);
      Store(bias_gradient + i, through + Load(bias_gradient + i));
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

}  // namespace hidreamer::kernels::HID_TARGET

#endif
