#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "hidreamer/kernels/quantizer.h"

// What a residual quantizer does with one codebook (V, D) on the CPU; all tensors f32 and
// contiguous.
namespace hidreamer::layers {

// rest (n, D) <- rows (n, D) minus their codewords, codes (n) in [0, V); rest may be rows. Returns
// the sum of rest's squares.
double SubtractCodewords(const torch::Tensor& rows, const torch::Tensor& codebook,
                         const int64_t* codes, const torch::Tensor& rest);

// Moves a codebook and its averages towards a batch, piece by piece, which several threads may do.
using kernels::AveragesMove;

// sizes (V), sums and codebook (V, D), which it changes, towards rows (n, D) and their codes (n).
AveragesMove MoveAverages(const torch::Tensor& sizes, const torch::Tensor& sums,
                          const torch::Tensor& codebook, const torch::Tensor& rows,
                          const int64_t* codes, double decay, double epsilon);

}  // namespace hidreamer::layers
