#include "hidreamer/encoder/conv_kernels.h"

#include <algorithm>

#include "hidreamer/nn/bf16_vectors.h"

namespace hidreamer::encoder {

using nn::Bf16;
using nn::kPanelOutputs;
using nn::kTileRows;

ConvWeights::ConvWeights(const ConvShape& conv, const float* weight, const float* conv_bias,
                         bool for_gradient)
    : shape(conv), bias(conv_bias, conv_bias + conv.out_channels) {
  const int64_t kernel = shape.kernel, channels = shape.in_channels, outputs = shape.out_channels;
  const auto at = [&](int64_t o, int64_t c, int64_t y, int64_t x) {
    return weight[((o * channels + c) * kernel + y) * kernel + x];
  };
  for (int64_t y = 0; y < shape.out_side(); ++y) {
    for (int64_t x = 0; x < shape.out_side(); ++x) {
      patches.push_back((y * shape.in_side + x) * shape.stride * channels);
    }
  }
  std::vector<float> ordered;
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t y = 0; y < kernel; ++y) {
      for (int64_t x = 0; x < kernel; ++x) {
        for (int64_t c = 0; c < channels; ++c) {
          ordered.push_back(at(o, c, y, x));
        }
      }
    }
  }
  forward = nn::Bf16Matrix(ordered.data(), outputs, shape.inner());
  if (!for_gradient) {
    return;
  }
  const int64_t stride = shape.stride, steps = kernel / stride;
  for (int64_t phase = 0; phase < stride * stride; ++phase) {
    ordered.clear();
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t y = steps - 1; y >= 0; --y) {
        for (int64_t x = steps - 1; x >= 0; --x) {
          for (int64_t o = 0; o < outputs; ++o) {
            ordered.push_back(at(o, c, stride * y + phase / stride, stride * x + phase % stride));
          }
        }
      }
    }
    phases.emplace_back(ordered.data(), channels, steps * steps * outputs);
  }
}

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

// Sums of 16 outputs of a tile's row.
__m512 Sums(const float* tile, int64_t row, int64_t output) {
  return _mm512_loadu_ps(tile + row * kPanelOutputs + output);
}

// The patches of all output pixels against all panels. at(pixel) is a patch's first number,
// use(pixel, first output, 16 sums) takes the results.
template <class At, class Use>
void MultiplyPatches(const nn::Bf16Matrix& matrix, int64_t pixels, int64_t segments,
                     int64_t segment_stride, const At& at, const Use& use) {
  float tile[kTileRows * kPanelOutputs];
  const int64_t groups = (pixels + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < matrix.panels(); ++p) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * pixels / groups, count = (g + 1) * pixels / groups - begin;
      const Bf16* pointers[kTileRows];
      for (int64_t r = 0; r < count; ++r) {
        pointers[r] = at(begin + r);
      }
      nn::MultiplyTile({.rows = pointers,
                        .length = matrix.inner() / segments,
                        .segments = segments,
                        .segment_stride = segment_stride},
                       count, matrix.panel(p), tile);
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t j = 0; j < kPanelOutputs; j += 16) {
          use(begin + r, p * kPanelOutputs + j, Sums(tile, r, j));
        }
      }
    }
  }
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
    const auto in_row = static_cast<__mmask16>((1u << width) - 1);
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

void ConvRelu(const ConvWeights& weights, const Bf16* in, Bf16* out) {
  const ConvShape& shape = weights.shape;
  MultiplyPatches(
      weights.forward, shape.pixels(), shape.kernel, shape.in_side * shape.in_channels,
      [&](int64_t pixel) { return in + weights.patches[static_cast<size_t>(pixel)]; },
      [&](int64_t pixel, int64_t output, __m512 sums) {
        const __m512 biased = _mm512_add_ps(sums, _mm512_loadu_ps(weights.bias.data() + output));
        nn::StoreBf16(out + pixel * shape.out_channels + output,
                      _mm512_max_ps(biased, _mm512_setzero_ps()));
      });
}

void ConvInputGradient(const ConvWeights& weights, const Bf16* gradient, const Bf16* in,
                       Bf16* in_gradient, std::vector<Bf16>& padded) {
  const ConvShape& shape = weights.shape;
  const int64_t stride = shape.stride, steps = shape.kernel / stride, outputs = shape.out_channels;
  const int64_t side = shape.out_side(), border = steps - 1;
  const int64_t row = (side + 2 * border) * outputs;
  padded.assign(static_cast<size_t>((side + 2 * border) * row), 0);
  for (int64_t y = 0; y < side; ++y) {
    std::copy_n(gradient + y * side * outputs, side * outputs,
                padded.data() + (y + border) * row + border * outputs);
  }
  // The places of a phase: of their patches and, for the first phase, of their pixels.
  const int64_t along = shape.in_side / stride, input_row = shape.in_side * shape.in_channels;
  std::vector<int64_t> patches, pixels;
  for (int64_t y = 0; y < along; ++y) {
    for (int64_t x = 0; x < along; ++x) {
      patches.push_back(y * row + x * outputs);
      pixels.push_back(stride * (y * input_row + x * shape.in_channels));
    }
  }
  for (int64_t phase = 0; phase < stride * stride; ++phase) {
    const int64_t shift = phase / stride * input_row + phase % stride * shape.in_channels;
    MultiplyPatches(
        weights.phases[static_cast<size_t>(phase)], along * along, steps, row,
        [&](int64_t place) { return padded.data() + patches[static_cast<size_t>(place)]; },
        [&](int64_t place, int64_t channel, __m512 sums) {
          const int64_t at = pixels[static_cast<size_t>(place)] + shift + channel;
          const __mmask16 lit = _mm512_cmpneq_ps_mask(nn::LoadBf16(in + at), _mm512_setzero_ps());
          nn::StoreBf16(in_gradient + at, _mm512_maskz_mov_ps(lit, sums));
        });
  }
}

void AddConvWeightGradient(const ConvWeights& weights, const Bf16* ins, const Bf16* gradients,
                           int64_t images, float* weight_gradient, float* bias_gradient,
                           ConvGradientScratch& scratch) {
  const ConvShape& shape = weights.shape;
  const int64_t outputs = shape.out_channels, inner = shape.inner();
  const int64_t row = shape.in_side * shape.in_channels, run = shape.kernel * shape.in_channels;
  const int64_t pixels = images * shape.pixels(), even = (pixels + 1) / 2 * 2;
  scratch.patches.clear();
  for (int64_t image = 0; image < images; ++image) {
    for (const int64_t offset : weights.patches) {
      scratch.patches.push_back(ins + image * shape.in_size() + offset);
    }
  }
  for (int64_t o = 0; o < outputs; o += 16) {
    __m512 sum = _mm512_loadu_ps(bias_gradient + o);
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      sum = _mm512_add_ps(sum, nn::LoadBf16(gradients + pixel * outputs + o));
    }
    _mm512_storeu_ps(bias_gradient + o, sum);
  }
  // Pairs of pixels on both sides.
  scratch.gradients.resize(static_cast<size_t>(even * outputs));
  nn::PackAsInner(gradients, pixels, outputs, outputs, scratch.gradients.data());
  scratch.columns.resize(static_cast<size_t>(even * kPanelOutputs));
  float tile[kTileRows * kPanelOutputs];
  for (int64_t column = 0; column < inner; column += kPanelOutputs) {
    const int64_t offset = column / run * row + column % run;
    for (int64_t pixel = 0; pixel < pixels; pixel += 2) {
      const bool both = pixel + 1 < pixels;
      const Bf16* const first = scratch.patches[static_cast<size_t>(pixel)] + offset;
      const Bf16* const second =
          both ? scratch.patches[static_cast<size_t>(pixel + 1)] + offset : nullptr;
      nn::StoreAsPairs(first, second, scratch.columns.data() + pixel * kPanelOutputs);
    }
    for (int64_t o = 0; o < outputs;) {
      // Outputs of a panel lie side by side: 11, 11 and 10 of them at a time.
      const int64_t left = kPanelOutputs - o % kPanelOutputs;
      const int64_t count = std::min<int64_t>(11, left);
      const Bf16* pointers[kTileRows];
      for (int64_t r = 0; r < count; ++r) {
        const int64_t output = o + r;
        pointers[r] = scratch.gradients.data() + output / kPanelOutputs * even * kPanelOutputs +
                      output % kPanelOutputs * 2;
      }
      nn::MultiplyTile({.rows = pointers, .length = even, .pair_stride = 2 * kPanelOutputs}, count,
                       scratch.columns.data(), tile);
      for (int64_t r = 0; r < count; ++r) {
        float* const to = weight_gradient + (o + r) * inner + column;
        for (int64_t j = 0; j < kPanelOutputs; j += 16) {
          _mm512_storeu_ps(to + j, _mm512_add_ps(_mm512_loadu_ps(to + j), Sums(tile, r, j)));
        }
      }
      o += count;
    }
  }
}

HID_END_BF16_TARGET
#else

void ScaleFrame(const uint8_t*, int64_t, Bf16*) {}
void TransposeNumbers(const Bf16*, int64_t, int64_t, Bf16*, const Bf16*) {}
void ConvRelu(const ConvWeights&, const Bf16*, Bf16*) {}
void ConvInputGradient(const ConvWeights&, const Bf16*, const Bf16*, Bf16*, std::vector<Bf16>&) {}
void AddConvWeightGradient(const ConvWeights&, const Bf16*, const Bf16*, int64_t, float*, float*,
                           ConvGradientScratch&) {}

#endif

}  // namespace hidreamer::encoder
