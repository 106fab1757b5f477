#pragma once

#include <cstdint>

namespace hidreamer::kernels {

// One step of Adam on n parameters in one pass over their memory, f32 (Adam::Step).
struct AdamCoefficients {
  float keep;   // factor of the parameters first: decoupled decay
  float decay;  // times the parameters, added to the gradient: L2
  float beta1, beta2;
  float correction2_root;  // of sqrt(v)
  float epsilon;
  float rate;  // with m's correction
};
void StepAdam(const AdamCoefficients& coefficients, const float* gradient, int64_t n,
              float* parameter, float* m, float* v);

}  // namespace hidreamer::kernels
