#pragma once

#include <cstdint>

#include "hidreamer/layers/precision.h"
#include "hidreamer/training/device.h"

namespace hidreamer::performance {

// The best rate of square matrix products on this machine and these threads, what other work is
// compared with.
struct MatmulPeak {
  double gflops = 0;  // 1e9 operations a second, 2 a multiply-add
  int64_t size = 0;   // rows and columns of the fastest product
};

// Doubles the size up to `largest`, or until one product takes a fifth of a second (bf16 without
// hardware for it would take minutes). warm_up: seconds, before the first.
MatmulPeak MeasureMatmulPeak(layers::Precision precision, int64_t largest,
                             torch::Device device = torch::kCPU, double warm_up = 0);

}  // namespace hidreamer::performance
