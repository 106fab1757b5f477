#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/nn/bf16_product.h"
#include "hidreamer/nn/read_ahead.h"

// The encoder's convolutions image by image, in bf16 with sums in f32. Images lie as (row, column,
// channel), so that a patch is a few runs of memory and a product takes its rows straight from the
// image; nothing is copied into columns but for the weights' gradient. Only where
// nn::HasBf16Kernels().
namespace hidreamer::encoder {

// Square kernels without padding. kernel is a multiple of stride, kernel * in_channels and
// out_channels are multiples of 32.
struct ConvShape {
  int64_t in_side, in_channels, kernel, stride, out_channels;

  int64_t out_side() const { return (in_side - kernel) / stride + 1; }
  int64_t pixels() const { return out_side() * out_side(); }       // of the output
  int64_t inner() const { return kernel * kernel * in_channels; }  // numbers of a patch
  int64_t in_size() const { return in_side * in_side * in_channels; }
  int64_t out_size() const { return pixels() * out_channels; }
};

// What a convolution takes of weight (O, C, k, k) and bias (O) f32.
struct ConvWeights {
  ConvWeights() = default;
  ConvWeights(const ConvShape& shape, const float* weight, const float* bias);

  ConvShape shape;
  nn::Bf16Matrix matrix;  // (k k C, O)
  std::vector<float> bias;
  std::vector<int64_t> patches;  // where the runs of an output pixel's patch begin in the input
};

// What its input's gradient takes of the weight: it is one small convolution for each of the
// stride^2 phases of a pixel's place, ((k / stride)^2 O, C) each.
struct ConvGradientWeights {
  ConvGradientWeights() = default;
  ConvGradientWeights(const ConvShape& shape, const float* weight);

  ConvShape shape;
  std::vector<nn::Bf16Matrix> phases;
};

// frame (channels, pixels) u8 -> (pixels, channels) bf16, divided by 255. channels is 4.
void ScaleFrame(const uint8_t* frame, int64_t pixels, nn::Bf16* out);

// in (rows, columns) -> out (columns, rows); where `lit` (rows, columns) is given, 0 where it is.
void TransposeNumbers(const nn::Bf16* in, int64_t rows, int64_t columns, nn::Bf16* out,
                      const nn::Bf16* lit = nullptr);

// in (side, side, C) -> relu(convolution) (side', side', O). A line of `ahead` is read for each
// patch.
void ConvRelu(const ConvWeights& weights, const nn::Bf16* in, nn::Bf16* out, nn::ReadAhead& ahead);

// gradient (side', side', O) of the convolution -> that of its input, 0 where `in`, itself a
// rectified output, is 0. padded is scratch of this layer alone.
void ConvInputGradient(const ConvGradientWeights& weights, const nn::Bf16* gradient,
                       const nn::Bf16* in, nn::Bf16* in_gradient, std::vector<nn::Bf16>& padded);

// Adds to weight_gradient (O, k, k, C) and bias_gradient (O) what a pair of images, ins (side,
// side, C, 2), and their gradients (side', side', O, 2) give, both packed by nn::PackAsInner.
void AddConvWeightGradient(const ConvShape& shape, const nn::Bf16* ins, const nn::Bf16* gradients,
                           float* weight_gradient, float* bias_gradient, nn::ReadAhead& ahead);

}  // namespace hidreamer::encoder
