#pragma once

#include <cstdint>

#include "hidreamer/kernels/dropout.h"
#include "hidreamer/kernels/gemm.h"

// Masked self-attention of one head of one sequence, in bf16 with sums and softmax in f32, and its
// gradient. A few queries at a time, so that scores never leave the first cache; the backward pass
// computes them again. Only where HasBf16Kernels().
namespace hidreamer::kernels {

struct Bf16Head {
  const Bf16* q;  // (P, d), rows `stride` apart; k and v alike
  const Bf16* k;
  const Bf16* v;
  int64_t stride = 0;
  int64_t positions = 0;       // P
  int64_t first_query = 0;     // AttendHead leaves earlier ones out
  int64_t width = 0;           // d, a multiple of 32
  const float* additive;       // (P, P): 0 or -infinity, the latter for all later keys
  float scale = 1;             // of the scores
  DropoutPlan dropout;         // of the weights
  uint32_t dropout_index = 0;  // of the first weight; a row takes P
};

// Buffers, kept between heads.
struct Bf16AttentionScratch {
  Bf16Panels k_outputs, v_outputs, k_inner, v_inner, q_inner, gradient_inner;
  AlignedBuffer<Bf16> weights, weight_pairs, score_pairs;
  AlignedBuffer<float> scores, gradients, sums, scales;
  TileLeft left;
};

// out (P, d), rows `out_stride` apart. statistics (2, P), where given, receives each query's
// largest score and 1 / sum, for the backward pass.
void AttendHead(const Bf16Head& head, Bf16* out, int64_t out_stride, float* statistics,
                Bf16AttentionScratch& scratch);

// gradient (P, d) of out, rows `gradient_stride` apart -> gradients of q, k and v, laid out as
// those are.
void AttendHeadBackward(const Bf16Head& head, const float* statistics, const Bf16* gradient,
                        int64_t gradient_stride, Bf16* q_gradient, Bf16* k_gradient,
                        Bf16* v_gradient, Bf16AttentionScratch& scratch);

// The sum of each column of x (rows, width), rows `stride` apart; width a multiple of 32.
void SumColumns(const Bf16* x, int64_t rows, int64_t stride, int64_t width, float* sums);

}  // namespace hidreamer::kernels
