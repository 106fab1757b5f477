#include "hidreamer/world_model/attention_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "hidreamer/nn/vector_clones.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kLanes = 16;  // partial sums, so that the order of additions allows vectors

// e^x for x <= 0 to 2 units in the last place; exactly 0 below -87, where f32 ends. Split as 2^n
// e^r with |r| <= ln 2 / 2, then a polynomial (Cephes, Moshier). The standard library's function
// keeps loops from being vectorized.
inline float ExpOfNegative(float x) {
  constexpr float kSmallest = -87.0f, kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const float bounded = x < kSmallest ? kSmallest : x;
  const float shifted = bounded * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (bounded - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float power = std::bit_cast<float>((exponent + 127) << 23);
  return x < kSmallest ? 0.0f : p * power;
}

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
void MaskedSoftmaxBackward(const nn::DropoutPlan& plan, uint32_t first, const float* weights,
                           int64_t n, float scale, float* gradient, float* dropped) {
  const nn::DropoutPlan p = plan;
  for (int64_t i = 0; i < n; ++i) {
    const float kept = nn::Keeps(p, first + static_cast<uint32_t>(i)) ? p.scale : 0.0f;
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

}  // namespace hidreamer::world_model
