#pragma once

#include <cstdint>

namespace hidreamer::kernels {

// categories (rows) of softmax(logits / temperature) by inversion at uniforms (rows) in [0, 1);
// logits (rows, V) contiguous, scratch (V). In one pass a row, f32 exponentials and f64 sums.
void CategoriesOfLogits(const float* logits, int64_t rows, int64_t categories, float temperature,
                        const double* uniforms, int64_t* out, float* scratch);

}  // namespace hidreamer::kernels
