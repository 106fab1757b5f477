#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::performance {

// How long the matrix products and convolutions of some work take by themselves, in seconds: each
// is run again, through the same library, on operands of the same shapes, strides and types (all in
// bf16 for that precision, as autocast turns them), and the fastest of `repetitions` counts. What
// is left of the work's own time is everything that a program could save without a faster library
// or fewer products.
double TimeProductsAlone(const std::vector<training::CountedOperator>& operators,
                         layers::Precision precision, int64_t repetitions,
                         torch::Device device = torch::kCPU);

}  // namespace hidreamer::performance
