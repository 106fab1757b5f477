#pragma once

#include <torch/torch.h>

#include <array>

namespace hidreamer::layers {

// Weight (O, C, k, k) and bias (O), f32, of each of the encoder's three convolutions.
struct ConvStackParameters {
  std::array<torch::Tensor, 3> weights, biases;
};

// Whether the kernels below can be used: bf16 autocast is on for the CPU, its processor has the
// instructions, and the stack has 4 frames.
bool HasConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters);

// frames (B, 4, 84, 84) u8 -> / 255, three rectified convolutions, (B, 64 * 7 * 7) bf16 in the
// order (channel, row, column), with the gradient of all parameters. Images are spread over the
// threads; the result does not depend on their number.
torch::Tensor ConvStack(const torch::Tensor& frames, const ConvStackParameters& parameters);

}  // namespace hidreamer::layers
