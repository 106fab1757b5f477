#include "hidreamer/encoder/conv_kernels.h"

#include <algorithm>

#include "hidreamer/nn/bf16_vectors.h"

namespace hidreamer::encoder {

using nn::Bf16;
using nn::kPanelOutputs;

namespace {

float At(const ConvShape& shape, const float* weight, int64_t o, int64_t c, int64_t y, int64_t x) {
  return weight[((o * shape.in_channels + c) * shape.kernel + y) * shape.kernel + x];
}

}  // namespace

ConvWeights::ConvWeights(const ConvShape& of, const float* weight, const float* of_bias)
    : shape(of), bias(of_bias, of_bias + of.out_channels) {
  for (int64_t y = 0; y < shape.out_side(); ++y) {
    for (int64_t x = 0; x < shape.out_side(); ++x) {
      patches.push_back((y * shape.in_side + x) * shape.stride * shape.in_channels);
    }
  }
  std::vector<float> ordered(static_cast<size_t>(shape.out_channels * shape.inner()));
  float* to = ordered.data();
  for (int64_t o = 0; o < shape.out_channels; ++o) {
    for (int64_t y = 0; y < shape.kernel; ++y) {
      for (int64_t x = 0; x < shape.kernel; ++x) {
        for (int64_t c = 0; c < shape.in_channels; ++c) {
          *to++ = At(shape, weight, o, c, y, x);
        }
      }
    }
  }
  matrix = nn::Bf16Matrix(ordered.data(), shape.out_channels, shape.inner());
}

ConvGradientWeights::ConvGradientWeights(const ConvShape& of, const float* weight) : shape(of) {
  const int64_t stride = shape.stride, steps = shape.kernel / stride;
  const int64_t inner = steps * steps * shape.out_channels;
  std::vector<float> ordered(static_cast<size_t>(shape.in_channels * inner));
  for (int64_t phase = 0; phase < stride * stride; ++phase) {
    float* to = ordered.data();
    for (int64_t c = 0; c < shape.in_channels; ++c) {
      for (int64_t y = steps - 1; y >= 0; --y) {
        for (int64_t x = steps - 1; x >= 0; --x) {
          for (int64_t o = 0; o < shape.out_channels; ++o) {
            *to++ =
                At(shape, weight, o, c, stride * y + phase / stride, stride * x + phase % stride);
          }
        }
      }
    }
    phases.emplace_back(ordered.data(), shape.in_channels, inner);
  }
}

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

// Of a patch the runs from the `first` on, each `length` numbers, `stride` after the one before.
struct Runs {
  int64_t first = 0, count, length, stride;
};
// The patches of `pixels` (at least one) output pixels against all panels of a matrix. at(pixel) is
// the first number of a patch's first run, use(pixel, first output, sums of it and the next 15,
// sums of 16 more) takes the results. `left` is scratch.
template <class At, class Use>
void MultiplyPatches(const nn::Bf16Matrix& matrix, int64_t pixels, const Runs& runs, const At& at,
                     nn::TileLeft& left, const Use& use) {
  alignas(64) float tile[nn::kMostTileRows * kPanelOutputs];
  const int64_t groups = nn::TilesOf(pixels);
  // Matrix units need the patches copied, which is done once; without, a panel stays in the first
  // cache while all patches pass.
  const int64_t panels = matrix.panels(), panels_at_once = nn::HasMatrixUnits() ? panels : 1;
  for (int64_t first = 0; first < panels; first += panels_at_once) {
    for (int64_t g = 0; g < groups; ++g) {
      const nn::Part group{g, groups};
      const int64_t begin = group.Begin(pixels), count = group.End(pixels) - begin;
      left.Take(count,
                {.length = runs.length, .segments = runs.count, .segment_stride = runs.stride},
                [&](int64_t r) { return at(begin + r); });
      for (int64_t p = first; p < first + panels_at_once; ++p) {
        left.Multiply(matrix.panel(p) + runs.first * runs.length * kPanelOutputs, tile);
        for (int64_t r = 0; r < count; ++r) {
          const float* const sums = tile + r * kPanelOutputs;
          use(begin + r, p * kPanelOutputs, _mm512_loadu_ps(sums),
              _mm512_loadu_ps(sums + kPanelOutputs / 2));
        }
      }
    }
  }
}

__m512i ToBf16(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

void StoreScaled(__m128i bytes, Bf16* out) {
  const __m512 numbers = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
  // Rounded to bf16, all 256 quotients are those of a division.
  nn::StoreBf16(out, _mm512_mul_ps(numbers, _mm512_set1_ps(1.0f / 255)));
}

}  // namespace

void ScaleFrame(const uint8_t* frame, int64_t pixels, Bf16* out) {
  const auto load = [&](int64_t channel, int64_t i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(frame + channel * pixels + i));
  };
  int64_t i = 0;
  for (; i + 16 <= pixels; i += 16) {
    const __m128i a = load(0, i), b = load(1, i), c = load(2, i), d = load(3, i);
    const __m128i ab[] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
    const __m128i cd[] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
    for (int half = 0; half < 2; ++half) {
      StoreScaled(_mm_unpacklo_epi16(ab[half], cd[half]), out + 4 * i + 32 * half);
      StoreScaled(_mm_unpackhi_epi16(ab[half], cd[half]), out + 4 * i + 32 * half + 16);
    }
  }
  for (; i < pixels; ++i) {
    for (int64_t channel = 0; channel < 4; ++channel) {
      out[4 * i + channel] = nn::ToBf16(static_cast<float>(frame[channel * pixels + i]) / 255);
    }
  }
}

void TransposeNumbers(const Bf16* in, int64_t rows, int64_t columns, Bf16* out, const Bf16* lit) {
  constexpr int64_t kBlock = 16;  // columns, and pairs of rows
  for (int64_t c = 0; c < columns; c += kBlock) {
    const int64_t width = std::min(kBlock, columns - c);
    const __mmask16 in_row = nn::MaskOf(width);
    const auto load = [&](int64_t row) {
      if (row >= rows) {
        return _mm256_setzero_si256();
      }
      const int64_t at = row * columns + c;
      const __mmask16 shown =
          lit == nullptr
              ? in_row
              : _mm256_mask_test_epi16_mask(in_row, _mm256_maskz_loadu_epi16(in_row, lit + at),
                                            _mm256_set1_epi16(-1));
      return _mm256_maskz_loadu_epi16(shown, in + at);
    };
    for (int64_t r = 0; r < rows; r += 2 * kBlock) {
      __m512i block[kBlock];
      for (int64_t i = 0; i < kBlock; ++i) {
        block[i] =
            _mm512_or_si512(_mm512_cvtepu16_epi32(load(r + 2 * i)),
                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(load(r + 2 * i + 1)), 16));
      }
      nn::Transpose(block);
      const int64_t height = std::min(2 * kBlock, rows - r);
      const auto in_column = static_cast<__mmask32>((uint64_t{1} << height) - 1);
      for (int64_t i = 0; i < width; ++i) {
        _mm512_mask_storeu_epi16(out + (c + i) * rows + r, in_column, block[i]);
      }
    }
  }
}

void ConvRelu(const ConvWeights& weights, const Bf16* in, Bf16* out, nn::ReadAhead& ahead) {
  const ConvShape& shape = weights.shape;
  const nn::TileScope scope;
  nn::TileLeft left;
  MultiplyPatches(
      weights.matrix, shape.pixels(),
      {.count = shape.kernel,
       .length = shape.kernel * shape.in_channels,
       .stride = shape.in_side * shape.in_channels},
      [&](int64_t pixel) {
        ahead.Some(1);
        return in + weights.patches[static_cast<size_t>(pixel)];
      },
      left,
      [&](int64_t pixel, int64_t output, __m512 low, __m512 high) {
        const float* const bias = weights.bias.data() + output;
        const auto rectified = [&](__m512 sums, int64_t from) {
          return _mm512_max_ps(_mm512_add_ps(sums, _mm512_loadu_ps(bias + from)),
                               _mm512_setzero_ps());
        };
        _mm512_storeu_si512(out + pixel * shape.out_channels + output,
                            ToBf16(rectified(low, 0), rectified(high, kPanelOutputs / 2)));
      });
}

void ConvInputGradient(const ConvGradientWeights& weights, const Bf16* gradient, const Bf16* in,
                       Bf16* in_gradient, std::vector<Bf16>& padded) {
  const ConvShape& shape = weights.shape;
  const int64_t stride = shape.stride, steps = shape.kernel / stride, outputs = shape.out_channels;
  const int64_t channels = shape.in_channels, side = shape.out_side(), border = steps - 1;
  const int64_t row = (side + 2 * border) * outputs, run = steps * outputs;
  padded.resize(static_cast<size_t>(side * row));  // the borders are never written to
  for (int64_t y = 0; y < side; ++y) {
    std::copy_n(gradient + y * side * outputs, side * outputs,
                padded.data() + y * row + border * outputs);
  }
  const int64_t along = shape.in_side / stride;  // places of a phase
  const nn::TileScope scope;
  nn::TileLeft left;
  for (int64_t phase = 0; phase < stride * stride; ++phase) {
    for (int64_t y = 0; y < along; ++y) {
      // Of the steps above and below the gradient's first and last row nothing comes.
      const int64_t first = std::max<int64_t>(0, border - y);
      const int64_t last = std::min(steps, side + border - y);
      const int64_t to =
          ((stride * y + phase / stride) * shape.in_side + phase % stride) * channels;
      MultiplyPatches(
          weights.phases[static_cast<size_t>(phase)], along,
          {.first = first, .count = last - first, .length = run, .stride = row},
          [&](int64_t x) { return padded.data() + (y + first - border) * row + x * outputs; }, left,
          [&](int64_t x, int64_t channel, __m512 low, __m512 high) {
            const int64_t at = to + stride * x * channels + channel;
            const __m512i lit = _mm512_loadu_si512(in + at);
            _mm512_storeu_si512(
                in_gradient + at,
                _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(lit, lit), ToBf16(low, high)));
          });
    }
  }
}

void AddConvWeightGradient(const ConvShape& shape, const Bf16* ins, const Bf16* gradients,
                           float* weight_gradient, float* bias_gradient, nn::ReadAhead& ahead) {
  const int64_t outputs = shape.out_channels, inner = shape.inner(), side = shape.out_side();
  const int64_t row = shape.in_side * shape.in_channels, run = shape.kernel * shape.in_channels;
  constexpr int64_t kLinesBetweenProducts = 12, kMostOutputTiles = 6;  // of 64 outputs
  // The sums run over the output's pixels, and of each over the pair of images.
  const nn::TileScope scope;
  nn::TileLeft left[kMostOutputTiles];
  const int64_t tiles = outputs / kPanelOutputs * nn::TilesOfPanel();
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t o = nn::TileBegin(tile), count = nn::TileBegin(tile + 1) - o;
    left[tile].Take(count,
                    {.length = 2 * side,
                     .pair_stride = 2 * outputs,
                     .segments = side,
                     .segment_stride = 2 * side * outputs},
                    [&](int64_t r) { return gradients + 2 * (o + r); });
  }
  for (int64_t column = 0; column < inner; column += kPanelOutputs) {
    const nn::Bf16Columns columns{.first = ins + 2 * (column / run * row + column % run),
                                  .step = 2 * shape.stride * shape.in_channels,
                                  .segment_stride = 2 * shape.stride * row};
    for (int64_t tile = 0; tile < tiles; ++tile) {
      ahead.Some(kLinesBetweenProducts);
      left[tile].AddTo(columns, weight_gradient + nn::TileBegin(tile) * inner + column, inner);
    }
  }
  for (int64_t o = 0; o < outputs; o += kPanelOutputs) {
    nn::AddPairs(gradients + 2 * o, shape.pixels(), 2 * outputs, bias_gradient + o);
  }
}

HID_END_BF16_TARGET
#else

void ScaleFrame(const uint8_t*, int64_t, Bf16*) {}
void TransposeNumbers(const Bf16*, int64_t, int64_t, Bf16*, const Bf16*) {}
void ConvRelu(const ConvWeights&, const Bf16*, Bf16*, nn::ReadAhead&) {}
void ConvInputGradient(const ConvGradientWeights&, const Bf16*, const Bf16*, Bf16*,
                       std::vector<Bf16>&) {}
void AddConvWeightGradient(const ConvShape&, const Bf16*, const Bf16*, float*, float*,
                           nn::ReadAhead&) {}

#endif

}  // namespace hidreamer::encoder
