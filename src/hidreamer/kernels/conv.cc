#ifndef HID_TARGET

#include "hidreamer/kernels/conv.h"

#include <algorithm>
#include <array>

#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/conv.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

namespace {

// Of weight (O, C, k, k) what belongs to a place (row % s, column % s) of a patch's cell.
float At(const ConvShape& shape, const float* weight, int64_t o, int64_t cell, int64_t place,
         int64_t c) {
  const int64_t y = cell / shape.steps() * shape.stride + place / shape.stride;
  const int64_t x = cell % shape.steps() * shape.stride + place % shape.stride;
  return weight[((o * shape.in_channels + c) * shape.kernel + y) * shape.kernel + x];
}

}  // namespace

ConvWeights::ConvWeights(const ConvShape& of, int64_t out_fold, const float* weight,
                         const float* of_bias)
    : shape(of), bias(of_bias, of_bias + of.out_channels) {
  const int64_t stride = shape.stride, side = shape.out_side(), out_grid = side / out_fold;
  for (int64_t cell = 0; cell < shape.run(); ++cell) {
    const int64_t y = cell / shape.grid(), x = cell % shape.grid();
    const int64_t to =
        ((y / out_fold * out_grid + x / out_fold) * out_fold + y % out_fold) * out_fold +
        x % out_fold;
    if (x < side) {
      pixels.push_back({cell * shape.depth(), to * shape.out_channels});
    } else if (HasMatrixUnits()) {
      pixels.push_back({cell * shape.depth(), -1});
    }
  }
  std::vector<float> ordered(static_cast<size_t>(shape.out_channels * shape.inner()));
  float* to = ordered.data();
  for (int64_t o = 0; o < shape.out_channels; ++o) {
    for (int64_t cell = 0; cell < shape.steps() * shape.steps(); ++cell) {
      for (int64_t place = 0; place < stride * stride; ++place) {
        for (int64_t c = 0; c < shape.in_channels; ++c) {
          *to++ = At(shape, weight, o, cell, place, c);
        }
      }
    }
  }
  matrix = Bf16Matrix(ordered.data(), shape.out_channels, shape.inner());
}

ConvGradientWeights::ConvGradientWeights(const ConvShape& of, const ConvShape& before,
                                         const float* weight)
    : shape(of) {
  const int64_t stride = shape.stride, steps = shape.steps(), channels = shape.in_channels;
  for (int64_t cell = 0; cell < shape.cells(); ++cell) {
    const int64_t y = cell / shape.grid(), x = cell % shape.grid();
    cell_places.push_back((y * before.grid() + x) * stride * channels);
  }
  for (int64_t first = 0; first < shape.depth(); first += kPanelOutputs) {
    const int64_t place = first / channels;
    panel_places.push_back((place / stride * before.grid() + place % stride) * channels +
                           first % channels);
  }
  const int64_t inner = steps * steps * shape.out_channels;
  std::vector<float> ordered(static_cast<size_t>(shape.depth() * inner));
  float* to = ordered.data();
  for (int64_t place = 0; place < stride * stride; ++place) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t cell = steps * steps - 1; cell >= 0; --cell) {
        for (int64_t o = 0; o < shape.out_channels; ++o) {
          *to++ = At(shape, weight, o, cell, place, c);
        }
      }
    }
  }
  matrix = Bf16Matrix(ordered.data(), shape.depth(), inner);
}

int64_t SummedCells(const ConvShape& shape) { return RoundUp(shape.run(), TileInner() / 2); }

void ScaleFrame(const uint8_t* frame, int64_t side, Bf16* out) {
  HID_DISPATCH(ScaleFrame(frame, side, out));
}

void TransposeNumbers(const Bf16* in, int64_t rows, int64_t columns, Bf16* out, const Bf16* lit) {
  HID_DISPATCH(TransposeNumbers(in, rows, columns, out, lit));
}

void ConvRelu(const ConvWeights& weights, const Bf16* in, Bf16* out, ReadAhead& ahead) {
  HID_DISPATCH(ConvRelu(weights, in, out, ahead));
}

void ConvInputGradient(const ConvGradientWeights& weights, const Bf16* gradient, const Bf16* in,
                       Bf16* in_gradient) {
  HID_DISPATCH(ConvInputGradient(weights, gradient, in, in_gradient));
}

void AddConvWeightGradient(const ConvShape& shape, Bf16* ins, Bf16* gradients,
                           float* weight_gradient, float* bias_gradient, ReadAhead& ahead) {
  HID_DISPATCH(AddConvWeightGradient(shape, ins, gradients, weight_gradient, bias_gradient, ahead));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

// Cells of a folded image as products take them: as they are, or in fixed point, where the patch
// with the largest norm decides on the scale of all.
class Cells {
 public:
  // (count, depth) numbers; patches are `steps` cells of as many rows of `grid`.
  Cells(const Bf16* numbers, int64_t count, int64_t depth, int64_t grid, int64_t steps)
      : numbers_(numbers) {
    if (!InFixedPoint()) {
      return;
    }
    std::vector<float> squares(static_cast<size_t>(count));
    for (int64_t cell = 0; cell < count; ++cell) {
      Vector sum = Zero();
      for (int64_t i = 0; i < depth; i += kLanes) {
        const Vector some = LoadBf16(numbers + cell * depth + i);
        sum = MultiplyAdd(some, some, sum);
      }
      squares[static_cast<size_t>(cell)] = SumOf(sum);
    }
    float most = 0;
    for (int64_t first = 0; first + (steps - 1) * (grid + 1) < count; ++first) {
      float sum = 0;
      for (int64_t step = 0; step < steps * steps; ++step) {
        sum += squares[static_cast<size_t>(first + step / steps * grid + step % steps)];
      }
      if (!(sum <= most) && most == most) {  // once it is NaN it stays so
        most = sum;
      }
    }
    float scale = 0;
    FixNumbers(numbers, count * depth, most, fixed_.Room(count * depth), &scale);
    scales_.fill(scale);
    numbers_ = fixed_.data();
  }
  const Bf16* numbers() const { return numbers_; }
  const float* scales() const { return numbers_ == fixed_.data() ? scales_.data() : nullptr; }

 private:
  const Bf16* numbers_;
  AlignedBuffer<Bf16> fixed_;
  std::array<float, kMostTileRows> scales_;
};

// Of a patch the runs from the `first` on, each `length` numbers, `stride` after the one before;
// the next patch's lie `patch_stride` after them.
struct Runs {
  int64_t first = 0, count, length, stride, patch_stride;
};
// The patches of `pixels` against all panels of a matrix. at(pixel) is where in the cells a patch's
// first run begins, use(pixel, first output, sums of it and the next 15, sums of 16 more) takes
// the results. With matrix units there are at least as many pixels as a tile has rows, and each
// patch lies at the stride. `left` is scratch.
template <class At, class Use>
void MultiplyPatches(const Bf16Matrix& matrix, const Cells& cells, int64_t pixels, const Runs& runs,
                     const At& at, TileLeft& left, const Use& use) {
  alignas(64) float tile[kMostTileRows * kPanelOutputs];
  const int64_t groups = TilesOf(pixels);
  // A panel stays in the first cache while all patches pass, unless these must be made ready.
  const int64_t panels = matrix.panels();
  const int64_t panels_at_once = HasMatrixUnits() ? panels : 1;
  for (int64_t first = 0; first < panels; first += panels_at_once) {
    for (int64_t g = 0; g < groups; ++g) {
      const RowsOfTile group = TileOfRows(g, pixels);
      left.Take(group.count(),
                {.length = runs.length,
                 .segments = runs.count,
                 .segment_stride = runs.stride,
                 .row_stride = runs.patch_stride,
                 .scales = cells.scales()},
                [&](int64_t r) { return cells.numbers() + at(group.begin + r); });
      for (int64_t p = first; p < first + panels_at_once; ++p) {
        left.Multiply(matrix.panel(p).From(runs.first * runs.length), tile);
        for (int64_t pixel = group.first; pixel < group.end; ++pixel) {
          const float* const sums = tile + (pixel - group.begin) * kPanelOutputs;
          use(pixel, p * kPanelOutputs, Load(sums), Load(sums + kPanelOutputs / 2));
        }
      }
    }
  }
}

void StoreScaled(__m128i bytes, Bf16* out) {
  // Rounded to bf16, all 256 quotients are those of a division.
  StoreBf16(out, FromBytes(bytes) * Spread(1.0f / 255));
}

}  // namespace

void ScaleFrame(const uint8_t* frame, int64_t side, Bf16* out) {
  constexpr int64_t kFold = 4, kAtOnce = 16, kRowNumbers = 16;  // of a cell's row
  const int64_t grid = side / kFold;
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t first = 0; first < side; first += kAtOnce) {
      const int64_t x = std::min(first, side - kAtOnce);
      const auto load = [&](int64_t channel) {
        return _mm_loadu_si128(
            reinterpret_cast<const __m128i*>(frame + (channel * side + y) * side + x));
      };
      const __m128i a = load(0), b = load(1), c = load(2), d = load(3);
      const __m128i ab[] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
      const __m128i cd[] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
      Bf16* to = out + ((y / kFold * grid + x / kFold) * kFold + y % kFold) * kRowNumbers;
      for (int half = 0; half < 2; ++half) {
        StoreScaled(_mm_unpacklo_epi16(ab[half], cd[half]), to);
        StoreScaled(_mm_unpackhi_epi16(ab[half], cd[half]), to + kFold * kRowNumbers);
        to += 2 * kFold * kRowNumbers;
      }
    }
  }
}

void TransposeNumbers(const Bf16* in, int64_t rows, int64_t columns, Bf16* out, const Bf16* lit) {
  constexpr int64_t kBlock = 16;  // columns, and pairs of rows
  for (int64_t c = 0; c < columns; c += kBlock) {
    const int64_t width = std::min(kBlock, columns - c);
    const auto load = [&](int64_t row) {
      if (row >= rows) {
        return NoBits();
      }
      const int64_t at = row * columns + c;
      const Bits numbers = LoadHalves(in + at, width);
      return lit == nullptr ? numbers : KeepWhere(LoadHalves(lit + at, width), numbers);
    };
    for (int64_t r = 0; r < rows; r += 2 * kBlock) {
      Bits block[kBlock];
      for (int64_t i = 0; i < kBlock; ++i) {
        block[i] = Or(load(r + 2 * i), ShiftLeft<16>(load(r + 2 * i + 1)));
      }
      Transpose(block);
      const int64_t height = std::min(2 * kBlock, rows - r);
      for (int64_t i = 0; i < width; ++i) {
        StoreNumbers(out + (c + i) * rows + r, height, block[i]);
      }
    }
  }
}

void ConvRelu(const ConvWeights& weights, const Bf16* in, Bf16* out, ReadAhead& ahead) {
  const ConvShape& shape = weights.shape;
  const TileScope scope;
  TileLeft left;
  const Cells cells(in, shape.cells(), shape.depth(), shape.grid(), shape.steps());
  MultiplyPatches(
      weights.matrix, cells, static_cast<int64_t>(weights.pixels.size()),
      {.count = shape.steps(),
       .length = shape.steps() * shape.depth(),
       .stride = shape.grid() * shape.depth(),
       .patch_stride = shape.depth()},
      [&](int64_t pixel) {
        ahead.Some(1);
        return weights.pixels[static_cast<size_t>(pixel)].from;
      },
      left,
      [&](int64_t pixel, int64_t output, Vector low, Vector high) {
        const int64_t to = weights.pixels[static_cast<size_t>(pixel)].to;
        if (to < 0) {
          return;
        }
        const float* const bias = weights.bias.data() + output;
        const auto rectified = [&](Vector sums, int64_t from) {
          return Largest(sums + Load(bias + from), Zero());
        };
        StoreBits(out + to + output,
                  Rounded(rectified(low, 0), rectified(high, kPanelOutputs / 2)));
      });
}

void ConvInputGradient(const ConvGradientWeights& weights, const Bf16* gradient, const Bf16* in,
                       Bf16* in_gradient) {
  const ConvShape& shape = weights.shape;
  const int64_t grid = shape.grid(), steps = shape.steps(), border = shape.border();
  const int64_t outputs = shape.out_channels, depth = shape.depth();
  // Of the steps above and below the gradient's first and last row nothing comes: they are left out
  // where a row of cells is a product of its own, and are zeros in matrix units' larger ones.
  const bool whole = HasMatrixUnits();
  const TileScope scope;
  TileLeft left;
  const Cells cells(gradient - shape.gradient_begin(), shape.reach() + shape.cells(), outputs, grid,
                    steps);
  for (int64_t y = 0; y < grid; y += whole ? grid : 1) {
    const int64_t first = whole ? 0 : std::max<int64_t>(0, border - y);
    const int64_t last = whole ? steps : std::min(steps, shape.out_side() + border - y);
    const int64_t begin = y * grid;
    MultiplyPatches(
        weights.matrix, cells, whole ? shape.cells() : grid,
        {.first = first,
         .count = last - first,
         .length = steps * outputs,
         .stride = grid * outputs,
         .patch_stride = outputs},
        [&](int64_t i) { return (begin + i + first * grid) * outputs; }, left,
        [&](int64_t i, int64_t channel, Vector low, Vector high) {
          const int64_t cell = begin + i;
          const Bits lit = LoadBits(in + cell * depth + channel);
          StoreBits(in_gradient + weights.cell_places[static_cast<size_t>(cell)] +
                        weights.panel_places[static_cast<size_t>(channel / kPanelOutputs)],
                    KeepWhereNumbers(lit, Rounded(low, high)));
        });
  }
}

void AddConvWeightGradient(const ConvShape& shape, Bf16* ins, Bf16* gradients,
                           float* weight_gradient, float* bias_gradient, ReadAhead& ahead) {
  const int64_t outputs = shape.out_channels, inner = shape.inner(), depth = shape.depth();
  const int64_t row = shape.grid() * depth, run = shape.steps() * depth;
  constexpr int64_t kLinesBetweenProducts = 12, kMostOutputTiles = 6;  // of 64 outputs
  for (int64_t o = 0; o < outputs; o += kPanelOutputs) {
    AddPairs(gradients + 2 * o, shape.run(), 2 * outputs, bias_gradient + o);
  }
  std::vector<float> scales(static_cast<size_t>(depth + outputs));
  float* const out_scales = scales.data() + depth;
  if (InFixedPoint()) {
    FixColumns(ins, shape.cells(), depth, 2 * depth, scales.data());
    FixColumns(gradients, shape.run(), outputs, 2 * outputs, out_scales);
  }
  // The sums run over the output's pixels, and of each over the pair of images: with matrix units
  // along the grid, so that tiles are full; the cells without an output are zeros.
  const bool whole = HasMatrixUnits();
  const TileScope scope;
  TileLeft left[kMostOutputTiles];
  const int64_t tiles = outputs / kPanelOutputs * TilesOfPanel();
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t o = TileBegin(tile), count = TileBegin(tile + 1) - o;
    left[tile].Take(count,
                    {.length = 2 * (whole ? SummedCells(shape) : shape.out_side()),
                     .pair_stride = 2 * outputs,
                     .segments = whole ? 1 : shape.out_side(),
                     .segment_stride = 2 * shape.grid() * outputs,
                     .scales = out_scales + o},
                    [&](int64_t r) { return gradients + 2 * (o + r); });
  }
  for (int64_t column = 0; column < inner; column += kPanelOutputs) {
    const Bf16Columns columns{.first = ins + 2 * (column / run * row + column % run),
                              .step = 2 * depth,
                              .segment_stride = 2 * row,
                              .scales = scales.data() + column % depth};
    for (int64_t tile = 0; tile < tiles; ++tile) {
      ahead.Some(kLinesBetweenProducts);
      left[tile].AddTo(columns,
                       weight_gradient + column * outputs + TileBegin(tile) * kPanelOutputs,
                       kPanelOutputs);
    }
  }
}

}  // namespace hidreamer::kernels::HID_TARGET

#endif
