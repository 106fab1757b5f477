#pragma once

#include <algorithm>

#include "hidreamer/nn/bf16_product.h"
#include "hidreamer/nn/bf16_target.h"

// Vectors of 16 numbers for sources of kernels: in HID_TARGET's namespace, so that a kernel is the
// same source for every set of instructions. vectors_avx512.h and vectors_avx2.h say what there is.
#define HID_KERNELS "hidreamer/nn/bf16_vector_functions.h"
#include "hidreamer/nn/each_target.h"
