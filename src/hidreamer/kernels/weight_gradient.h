#pragma once

#include <cstdint>

#include "hidreamer/kernels/gemm.h"

namespace hidreamer::kernels {

// A block of the gradient of a linear layer's weight: what the first `outputs` of gradient's and
// the first `inner` of x's columns give, multiples of 32 both.
struct WeightGradientBlock {
  const Bf16* gradient;  // (rows, N)
  const Bf16* x;         // (rows, K)
  int64_t rows, gradient_stride, x_stride, outputs, inner;
};
// weight_gradient (outputs, inner) f32, rows `stride` apart, and, unless it is null, bias_gradient
// (outputs). Sums are made in the order of the rows whatever the block. Only where
// HasBf16Kernels().
void WeightGradient(const WeightGradientBlock& block, float* weight_gradient, int64_t stride,
                    float* bias_gradient);

}  // namespace hidreamer::kernels
