#pragma once

#include <cstdint>

namespace hidreamer::kernels {

// out (rows, outputs), rows `stride` apart, = x (rows, inner) weight (outputs, inner)' + bias
// (outputs). Every output is one sum in the same order, whatever its neighbours. The widest version
// that the processor has is taken.
void FewRowsLinear(const float* x, int64_t rows, int64_t inner, const float* weight,
                   const float* bias, int64_t outputs, float* out, int64_t stride);

}  // namespace hidreamer::kernels
