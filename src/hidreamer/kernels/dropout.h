#pragma once

#include <cstdint>

// Dropout whose choices are a function of a key and an element's index alone: any thread computes
// any part of them, and the backward pass computes them again instead of keeping a mask. torch's
// own draws one element after another on one thread.
namespace hidreamer::kernels {

struct DropoutPlan {
  uint32_t key[2] = {};    // drawn anew for every use
  uint32_t threshold = 0;  // an element is dropped where its hash is below; 0: none is
  float scale = 1;         // of those kept, 1 / (1 - probability)
};

inline constexpr uint32_t kHashFactors[] = {0x9e3779b1u, 0x7feb352du, 0x846ca68bu};

// Whether element `index` is kept: a 32-bit integer hash ("lowbias32", Wellons, 2018) of the keyed
// index.
inline bool Keeps(const DropoutPlan& plan, uint32_t index) {
  uint32_t x = (index ^ plan.key[0]) * kHashFactors[0];
  x ^= x >> 16;
  x = (x ^ plan.key[1]) * kHashFactors[1];
  x ^= x >> 15;
  x *= kHashFactors[2];
  x ^= x >> 16;
  return x >= plan.threshold;
}

// out[i] = in[i] times scale, or 0, for the elements first .. first + n - 1. in and out may be the
// same.
void ApplyDropout(const DropoutPlan& plan, uint32_t first, const float* in, int64_t n, float* out);

}  // namespace hidreamer::kernels
