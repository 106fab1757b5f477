#pragma once

#include <cstdint>

#include "hidreamer/kernels/dropout.h"
#include "hidreamer/kernels/gemm.h"

// What lies between the products of a transformer, row by row in one pass each: numbers of products
// in bf16, all arithmetic in f32. D is a multiple of 16. Only where HasBf16Kernels().
namespace hidreamer::kernels {

// out (rows, D) bf16 = layer norm of x (rows, D) f32. statistics (rows, 2), where given, receives
// each row's mean and 1 / standard deviation.
void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, Bf16* out, float* statistics);
// The same without rounding; out may be x.
void NormalizeRows(const float* x, const float* weight, const float* bias, float epsilon,
                   int64_t rows, int64_t width, float* out);

// gradient (rows, D) bf16 of that out, and another of x itself (rows, D) f32 -> x_gradient, their
// sum; adds to weight_gradient and bias_gradient (D).
void NormalizeRowsBackward(const float* x, const float* weight, const float* statistics,
                           const Bf16* gradient, const float* other_gradient, int64_t rows,
                           int64_t width, float* x_gradient, float* weight_gradient,
                           float* bias_gradient);

// out (rows, N) = dropout(gelu(x + bias)), the first row's first element being `index` of the plan.
void BiasGeluDropoutRows(const Bf16* x, const float* bias, const DropoutPlan& plan, uint32_t index,
                         int64_t rows, int64_t width, Bf16* out);
// gradient of out -> that of x; adds to bias_gradient (N).
void BiasGeluDropoutRowsBackward(const Bf16* x, const float* bias, const DropoutPlan& plan,
                                 uint32_t index, const Bf16* gradient, int64_t rows, int64_t width,
                                 Bf16* x_gradient, float* bias_gradient);

// out (rows, D) f32 = residual + dropout(x + bias).
void BiasDropoutAddRows(const float* residual, const Bf16* x, const float* bias,
                        const DropoutPlan& plan, uint32_t index, int64_t rows, int64_t width,
                        float* out);
// gradient (rows, D) f32 of out -> that of x; adds to bias_gradient (D).
void BiasDropoutAddRowsBackward(const DropoutPlan& plan, uint32_t index, const float* gradient,
                                int64_t rows, int64_t width, Bf16* x_gradient,
                                float* bias_gradient);

// out (n) = silu(x), and x_gradient (n) from that of out.
void SiluNumbers(const Bf16* x, int64_t n, Bf16* out);
void SiluNumbersBackward(const Bf16* x, const Bf16* gradient, int64_t n, Bf16* x_gradient);

}  // namespace hidreamer::kernels
