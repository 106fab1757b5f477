#include "hidreamer/kernels/adam.h"

#include <cmath>

#include "hidreamer/kernels/vector_clones.h"

namespace hidreamer::kernels {

HID_VECTOR_CLONES
void StepAdam(const AdamCoefficients& coefficients, const float* __restrict gradient, int64_t n,
              float* __restrict parameter, float* __restrict m, float* __restrict v) {
  const AdamCoefficients c = coefficients;
  for (int64_t i = 0; i < n; ++i) {
    const float kept = parameter[i] * c.keep;
    const float g = gradient[i] + c.decay * kept;
    // One product a sum: of two, the compiler could fuse either, not everywhere the same one.
    m[i] += (g - m[i]) * (1 - c.beta1);
    v[i] += (g * g - v[i]) * (1 - c.beta2);
    parameter[i] = kept - c.rate * m[i] / (std::sqrt(v[i]) / c.correction2_root + c.epsilon);
  }
}

}  // namespace hidreamer::kernels
