#include "hidreamer/kernels/dropout.h"

#include "hidreamer/kernels/vector_clones.h"

namespace hidreamer::kernels {

HID_VECTOR_CLONES
void ApplyDropout(const DropoutPlan& plan, uint32_t first, const float* in, int64_t n, float* out) {
  const DropoutPlan p = plan;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = in[i] * (Keeps(p, first + static_cast<uint32_t>(i)) ? p.scale : 0.0f);
  }
}

}  // namespace hidreamer::kernels
