#pragma once

#include <cstdint>
#include <vector>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/kernels/read_ahead.h"

// The encoder's convolutions image by image, in bf16 with sums in f32. Only where
// HasBf16Kernels().
//
// A convolution of stride s is one of stride 1 over its image folded by s (space to depth): cells
// of s x s pixels, (row / s, column / s, row % s, column % s, channel). A patch is then a few runs
// of memory, patches next to each other lie a cell apart, and a product takes its rows straight
// from the image; nothing is copied into columns.
namespace hidreamer::kernels {

// Square kernels without padding. in_side and kernel are multiples of stride; in_channels times
// stride^2 and out_channels are multiples of 32.
struct ConvShape {
  int64_t in_side, in_channels, kernel, stride, out_channels;

  int64_t out_side() const { return (in_side - kernel) / stride + 1; }
  int64_t pixels() const { return out_side() * out_side(); }       // of the output
  int64_t inner() const { return kernel * kernel * in_channels; }  // numbers of a patch
  int64_t in_size() const { return in_side * in_side * in_channels; }
  int64_t out_size() const { return pixels() * out_channels; }

  // Folded:
  int64_t grid() const { return in_side / stride; }  // cells of a side
  int64_t cells() const { return grid() * grid(); }
  int64_t depth() const { return stride * stride * in_channels; }  // numbers of a cell
  int64_t steps() const { return kernel / stride; }                // cells of a patch's side
  int64_t border() const { return steps() - 1; }                   // cells without an output
  // Output pixels are counted along the grid, which has `border` cells more in each row: so many
  // from the first to the last.
  int64_t run() const { return (out_side() - 1) * grid() + out_side(); }
  int64_t reach() const { return border() * (grid() + 1); }  // cells from a patch's first to last

  // Gradients of the outputs lie along the grid as well, (cells, O), 0 where there is no output,
  // behind `reach` cells of zeros: whichever outputs an input had a part in can then be read.
  int64_t gradient_begin() const { return reach() * out_channels; }
  int64_t gradient_size() const { return cells() * out_channels; }
};

// What a convolution takes of weight (O, C, k, k) and bias (O) f32.
struct ConvWeights {
  ConvWeights() = default;
  // Its output is folded by `out_fold`.
  ConvWeights(const ConvShape& shape, int64_t out_fold, const float* weight, const float* bias);

  ConvShape shape;
  Bf16Matrix matrix;  // (k k C, O)
  std::vector<float> bias;
  struct Pixel {
    int64_t from, to;  // where its patch begins, and its outputs; -1: a cell without
  };
  std::vector<Pixel> pixels;  // with matrix units all of the run, so that rows lie at a stride
};

// What its input's gradient takes of the weight.
struct ConvGradientWeights {
  ConvGradientWeights() = default;
  // The gradient is laid out for `before`, whose output the input is.
  ConvGradientWeights(const ConvShape& shape, const ConvShape& before, const float* weight);

  ConvShape shape;
  Bf16Matrix matrix;                               // ((k / s)^2 O, s^2 C)
  std::vector<int64_t> cell_places, panel_places;  // their sum: where 32 channels of a cell go
};

// frame (4, side, side) u8 -> / 255, folded by 4.
void ScaleFrame(const uint8_t* frame, int64_t side, Bf16* out);

// in (rows, columns) -> out (columns, rows); where `lit` (rows, columns) is given, 0 where it is.
void TransposeNumbers(const Bf16* in, int64_t rows, int64_t columns, Bf16* out,
                      const Bf16* lit = nullptr);

// in, folded -> relu(convolution), folded. A line of `ahead` is read for each patch.
void ConvRelu(const ConvWeights& weights, const Bf16* in, Bf16* out, ReadAhead& ahead);

// gradient of the convolution, along its grid -> that of its input along the grid of the layer
// before, 0 where `in` (folded), itself a rectified output, is 0.
void ConvInputGradient(const ConvGradientWeights& weights, const Bf16* gradient, const Bf16* in,
                       Bf16* in_gradient);

// Adds to weight_gradient (k k C / 32, O, 32), its numbers in the order of a patch, and
// bias_gradient (O) what a pair of images, ins (cells, s^2 C, 2), and their gradients (cells, O, 2)
// give, both packed by PackAsInner; they are lost. It reads SummedCells() of the gradients and
// reach() more of the images, which must be numbers.
void AddConvWeightGradient(const ConvShape& shape, Bf16* ins, Bf16* gradients,
                           float* weight_gradient, float* bias_gradient, ReadAhead& ahead);
// The cells of a run that are summed over: those of whole tiles.
int64_t SummedCells(const ConvShape& shape);

}  // namespace hidreamer::kernels
