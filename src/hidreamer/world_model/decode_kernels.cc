#include "hidreamer/world_model/decode_kernels.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/nn/bf16_vectors.h"
#include "hidreamer/nn/vector_math.h"

namespace hidreamer::world_model {

#ifdef HID_BF16_KERNELS
HID_BEGIN_BF16_TARGET

namespace {

using nn::Bf16;
using nn::kPanelOutputs;

// x (rows, D) f32 -> out, normalized, in bf16 or f32.
template <class Store>
void Normalize(const DecodeNorm& norm, const float* x, int64_t rows, const Store& store) {
  const auto width = static_cast<int64_t>(norm.weight.size());
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * width;
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < width; i += 16) {
      sum = _mm512_add_ps(sum, _mm512_loadu_ps(row + i));
    }
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / static_cast<float>(width));
    for (int64_t i = 0; i < width; i += 16) {
      const __m512 off = _mm512_sub_ps(_mm512_loadu_ps(row + i), mean);
      squares = _mm512_fmadd_ps(off, off, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / static_cast<float>(width);
    const __m512 scale = _mm512_set1_ps(1 / std::sqrt(variance + norm.epsilon));
    for (int64_t i = 0; i < width; i += 16) {
      const __m512 even = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row + i), mean), scale);
      store(r * width + i, _mm512_fmadd_ps(even, _mm512_loadu_ps(norm.weight.data() + i),
                                           _mm512_loadu_ps(norm.bias.data() + i)));
    }
  }
}

// x (rows, K) times a linear map; use(row, first output, its 16 sums with the bias).
template <class Use>
void Apply(const DecodeLinear& linear, const Bf16* x, int64_t rows, const Use& use) {
  nn::MultiplyRows(x, rows, linear.weight.inner(), linear.weight,
                   [&](int64_t begin, int64_t count, int64_t column, int64_t, const float* tile) {
                     for (int64_t r = 0; r < count; ++r) {
                       for (int64_t j = 0; j < kPanelOutputs; j += 16) {
                         use(begin + r, column + j,
                             _mm512_add_ps(_mm512_loadu_ps(tile + r * kPanelOutputs + j),
                                           _mm512_loadu_ps(linear.bias.data() + column + j)));
                       }
                     }
                   });
}

// out (d) bf16 = softmax(scale * keys q) values; keys, values (n, d); scores (n rounded up to 16)
// is scratch.
void AttendInBf16(const Bf16* q, const Bf16* keys, const Bf16* values, int64_t n, int64_t d,
                  float scale, float* scores, Bf16* out) {
  __m512 largest = _mm512_set1_ps(-INFINITY);
  for (int64_t i = 0; i < n; ++i) {
    __m512 dot = _mm512_setzero_ps();
    for (int64_t j = 0; j < d; j += 32) {
      dot = _mm512_dpbf16_ps(dot, nn::LoadPairs(q + j), nn::LoadPairs(keys + i * d + j));
    }
    scores[i] = _mm512_reduce_add_ps(dot) * scale;
  }
  const int64_t padded = (n + 15) / 16 * 16;
  std::fill(scores + n, scores + padded, -INFINITY);
  for (int64_t i = 0; i < padded; i += 16) {
    largest = _mm512_max_ps(largest, _mm512_loadu_ps(scores + i));
  }
  const float most = _mm512_reduce_max_ps(largest);
  float total = 0;
  for (int64_t i = 0; i < padded; ++i) {
    scores[i] = nn::ExpOfNegative(scores[i] - most);
  }
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < padded; i += 16) {
    sum = _mm512_add_ps(sum, _mm512_loadu_ps(scores + i));
  }
  total = _mm512_reduce_add_ps(sum);
  const __m512 share = _mm512_set1_ps(1 / total);
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
  for (int64_t j = 0; j < d; j += 32) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; ++i) {
      const __m512i pairs = _mm512_loadu_si512(values + i * d + j);
      const __m512 weight = _mm512_set1_ps(scores[i]);
      even = _mm512_fmadd_ps(weight, _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), even);
      odd = _mm512_fmadd_ps(weight, _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)), odd);
    }
    const auto low = _mm512_cvtepu16_epi32(
        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_mul_ps(even, share))));
    const auto high = _mm512_cvtepu16_epi32(
        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_mul_ps(odd, share))));
    _mm512_storeu_si512(out + j, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }
}

}  // namespace

void DecodeRows(const DecodeWeights& weights, const DecodeCache& cache, int64_t first, int64_t rows,
                float* x) {
  const int64_t width = weights.width, d = width / weights.heads;
  const int64_t n = cache.place + 1 - cache.begin;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  std::vector<Bf16> narrow(static_cast<size_t>(rows * width));
  std::vector<Bf16> queries(static_cast<size_t>(rows * width));
  std::vector<Bf16> hidden(static_cast<size_t>(rows * weights.hidden_width));
  std::vector<float> scores(static_cast<size_t>(n + 15));
  const auto to_narrow = [&](int64_t at, __m512 numbers) {
    nn::StoreBf16(narrow.data() + at, numbers);
  };
  const auto add_to_x = [&](int64_t r, int64_t column, __m512 sums) {
    float* const at = x + r * width + column;
    _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), sums));
  };
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    const DecodeBlock& block = weights.blocks[layer];
    // Of a row and head.
    const auto place_of = [&](int64_t r, int64_t head) {
      return ((static_cast<int64_t>(layer) * cache.batch + first + r) * weights.heads + head) *
             cache.places * d;
    };
    Normalize(block.norm1, x, rows, to_narrow);
    Apply(block.qkv, narrow.data(), rows, [&](int64_t r, int64_t column, __m512 sums) {
      const int64_t part = column / width, of_part = column % width;
      if (part == 0) {
        nn::StoreBf16(queries.data() + r * width + of_part, sums);
      } else {
        nn::StoreBf16((part == 1 ? cache.keys : cache.values) + place_of(r, of_part / d) +
                          cache.place * d + of_part % d,
                      sums);
      }
    });
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t head = 0; head < weights.heads; ++head) {
        const int64_t from = place_of(r, head) + cache.begin * d, at = r * width + head * d;
        AttendInBf16(queries.data() + at, cache.keys + from, cache.values + from, n, d, scale,
                     scores.data(), narrow.data() + at);
      }
    }
    Apply(block.out, narrow.data(), rows, add_to_x);
    Normalize(block.norm2, x, rows, to_narrow);
    Apply(block.expand, narrow.data(), rows, [&](int64_t r, int64_t column, __m512 sums) {
      float numbers[16];
      _mm512_storeu_ps(numbers, sums);
      for (float& number : numbers) {
        number = nn::Gelu(number);
      }
      nn::StoreBf16(hidden.data() + r * weights.hidden_width + column, _mm512_loadu_ps(numbers));
    });
    Apply(block.contract, hidden.data(), rows, add_to_x);
  }
  Normalize(weights.final_norm, x, rows,
            [&](int64_t at, __m512 numbers) { _mm512_storeu_ps(x + at, numbers); });
}

HID_END_BF16_TARGET
#else

void DecodeRows(const DecodeWeights&, const DecodeCache&, int64_t, int64_t, float*) {}

#endif

}  // namespace hidreamer::world_model
