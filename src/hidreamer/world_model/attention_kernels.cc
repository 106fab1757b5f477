#include "hidreamer/world_model/attention_kernels.h"

#include <algorithm>
#include <cmath>

// One binary runs everywhere: the loader picks the widest version that the processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define HID_VECTOR_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define HID_VECTOR_CLONES
#endif

namespace hidreamer::world_model {

HID_VECTOR_CLONES
void AttendOneQuery(const float* q, const float* keys, const float* values, int64_t n, int64_t d,
                    float scale, float* scores, float* out) {
  constexpr int64_t kLanes = 16;
  const int64_t whole = d - d % kLanes;
  float largest = -INFINITY;
  for (int64_t i = 0; i < n; ++i) {
    const float* key = keys + i * d;
    float lanes[kLanes] = {};
    for (int64_t j = 0; j < whole; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += q[j + lane] * key[j + lane];
      }
    }
    float dot = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      dot += lanes[lane];
    }
    for (int64_t j = whole; j < d; ++j) {
      dot += q[j] * key[j];
    }
    scores[i] = dot * scale;
    largest = std::max(largest, scores[i]);
  }
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = std::exp(scores[i] - largest);
    sum += scores[i];
  }
  std::fill(out, out + d, 0.0f);
  for (int64_t i = 0; i < n; ++i) {
    const float weight = scores[i] / sum;
    const float* value = values + i * d;
    for (int64_t j = 0; j < d; ++j) {
      out[j] += weight * value[j];
    }
  }
}

}  // namespace hidreamer::world_model
