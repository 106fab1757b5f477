#pragma once

#include <cstdint>

// Inner loops of the attention on the CPU, f32, written for the compiler's vectorizer.
namespace hidreamer::world_model {

// One query over n keys: out (d) = softmax(scale * keys q) values. q (d), keys and values (n, d)
// contiguous, scores (n) is scratch.
void AttendOneQuery(const float* q, const float* keys, const float* values, int64_t n, int64_t d,
                    float scale, float* scores, float* out);

}  // namespace hidreamer::world_model
