#include "hidreamer/kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/kernels/vector_clones.h"
#include "hidreamer/kernels/vector_math.h"

namespace hidreamer::kernels {
namespace {

constexpr int64_t kLanes = 16;  // partial sums, so that the order of additions allows vectors

inline float SumOf(const float* lanes) {
  float sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    sum += lanes[lane];
  }
  return sum;
}

// scores <- e^(scores - largest); returns their sum.
inline float ExponentiateAndSum(float* scores, int64_t n) {
  const int64_t whole = n - n % kLanes;
  float maxima[kLanes];
  std::fill(maxima, maxima + kLanes, -INFINITY);
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      maxima[lane] = scores[i + lane] > maxima[lane] ? scores[i + lane] : maxima[lane];
    }
  }
  float largest = -INFINITY;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    largest = std::max(largest, maxima[lane]);
  }
  for (int64_t i = whole; i < n; ++i) {
    largest = std::max(largest, scores[i]);
  }
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float e = ExpOfNegative(scores[i + lane] - largest);
      scores[i + lane] = e;
      lanes[lane] += e;
    }
  }
  float sum = SumOf(lanes);
  for (int64_t i = whole; i < n; ++i) {
    scores[i] = ExpOfNegative(scores[i] - largest);
    sum += scores[i];
  }
  return sum;
}

}  // namespace

HID_VECTOR_CLONES
void AttendOneQuery(const float* q, const float* keys, const float* values, int64_t n, int64_t d,
                    float scale, float* scores, float* out) {
  const int64_t whole = d - d % kLanes;
  for (int64_t i = 0; i < n; ++i) {
    const float* key = keys + i * d;
    float lanes[kLanes] = {};
    for (int64_t j = 0; j < whole; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += q[j + lane] * key[j + lane];
      }
    }
    float dot = SumOf(lanes);
    for (int64_t j = whole; j < d; ++j) {
      dot += q[j] * key[j];
    }
    scores[i] = dot * scale;
  }
  const float sum = ExponentiateAndSum(scores, n);
  std::fill(out, out + d, 0.0f);
  for (int64_t i = 0; i < n; ++i) {
    const float weight = scores[i] / sum;
    const float* value = values + i * d;
    for (int64_t j = 0; j < d; ++j) {
      out[j] += weight * value[j];
    }
  }
}

HID_VECTOR_CLONES
void MaskedSoftmax(float* scores, const float* additive, int64_t n, float scale) {
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = scores[i] * scale + additive[i];
  }
  const float share = 1 / ExponentiateAndSum(scores, n);
  for (int64_t i = 0; i < n; ++i) {
    scores[i] *= share;
  }
}

HID_VECTOR_CLONES
void MaskedSoftmaxBackward(const DropoutPlan& plan, uint32_t first, const float* weights, int64_t n,
                           float scale, float* gradient, float* dropped) {
  const DropoutPlan p = plan;
  for (int64_t i = 0; i < n; ++i) {
    const float kept = Keeps(p, first + static_cast<uint32_t>(i)) ? p.scale : 0.0f;
    gradient[i] *= kept;
    dropped[i] = weights[i] * kept;
  }
  const int64_t whole = n - n % kLanes;
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += gradient[i + lane] * weights[i + lane];
    }
  }
  float dot = SumOf(lanes);
  for (int64_t i = whole; i < n; ++i) {
    dot += gradient[i] * weights[i];
  }
  for (int64_t i = 0; i < n; ++i) {
    gradient[i] = weights[i] * (gradient[i] - dot) * scale;
  }
}

}  // namespace hidreamer::kernels
