#pragma once

#include <cstdint>

#include "hidreamer/kernels/dropout.h"

// Inner loops of the attention on the CPU, f32, written for the compiler's vectorizer.
namespace hidreamer::kernels {

// One query over n keys: out (d) = softmax(scale * keys q) values. q (d), keys and values (n, d)
// contiguous, scores (n) is scratch.
void AttendOneQuery(const float* q, const float* keys, const float* values, int64_t n, int64_t d,
                    float scale, float* scores, float* out);

// scores (n) <- softmax(scale * scores + additive); additive (n) is 0 or -infinity, not all of them
// the latter: those weights are exactly 0.
void MaskedSoftmax(float* scores, const float* additive, int64_t n, float scale);

// Gradient of scores under dropout(softmax(scale * scores)), one row. weights (n) are the softmax's
// output; `first` is the plan's index of weights[0]; gradient (n) holds that of the dropped weights
// and becomes that of the scores; dropped (n) receives the dropped weights once more.
void MaskedSoftmaxBackward(const DropoutPlan& plan, uint32_t first, const float* weights, int64_t n,
                           float scale, float* gradient, float* dropped);

}  // namespace hidreamer::kernels
