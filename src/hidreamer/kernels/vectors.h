#pragma once

#include <algorithm>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/kernels/target.h"

// Vectors of 16 numbers for sources of kernels: in HID_TARGET's namespace, so that a kernel is the
// same source for every set of instructions. vectors_avx512.h and vectors_avx2.h say what there is.
#define HID_KERNELS "hidreamer/kernels/vector_functions.h"
#include "hidreamer/kernels/each_target.h"
