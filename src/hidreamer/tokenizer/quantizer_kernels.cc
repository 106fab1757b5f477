#include "hidreamer/tokenizer/quantizer_kernels.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "hidreamer/nn/vector_clones.h"

namespace hidreamer::tokenizer {
namespace {

constexpr int64_t kLanes = 16;  // partial results, so that the order allows vectors

}  // namespace

HID_VECTOR_CLONES
void SquaredNorms(const float* rows, int64_t n, int64_t dim, float* norms) {
  const int64_t whole = dim - dim % kLanes;
  for (int64_t i = 0; i < n; ++i, rows += dim) {
    float squares[kLanes] = {};
    for (int64_t j = 0; j < whole; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        squares[lane] += rows[j + lane] * rows[j + lane];
      }
    }
    float total = 0;
    for (const float square : squares) {
      total += square;
    }
    for (int64_t j = whole; j < dim; ++j) {
      total += rows[j] * rows[j];
    }
    norms[i] = total;
  }
}

HID_VECTOR_CLONES
void NearestByProducts(const float* products, const float* norms, int64_t n, int64_t codes,
                       int64_t* nearest) {
  const int64_t whole = codes - codes % kLanes;
  for (int64_t i = 0; i < n; ++i, products += codes) {
    float least[kLanes];
    int32_t where[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      least[lane] = std::numeric_limits<float>::infinity();
      where[lane] = 0;
    }
    for (int64_t v = 0; v < whole; v += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const float distance = norms[v + lane] - 2 * products[v + lane];
        const bool less = distance < least[lane];
        least[lane] = less ? distance : least[lane];
        where[lane] = less ? static_cast<int32_t>(v) : where[lane];
      }
    }
    float best = std::numeric_limits<float>::infinity();
    int64_t found = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t code = where[lane] + lane;
      if (least[lane] < best || (least[lane] == best && code < found)) {
        best = least[lane];
        found = code;
      }
    }
    for (int64_t v = whole; v < codes; ++v) {
      const float distance = norms[v] - 2 * products[v];
      if (distance < best) {
        best = distance;
        found = v;
      }
    }
    nearest[i] = found;
  }
}

HID_VECTOR_CLONES
double SubtractCodewords(const float* rows, const float* codebook, const int64_t* codes, int64_t n,
                         int64_t dim, float* out) {
  const int64_t whole = dim - dim % kLanes;
  double total = 0;
  for (int64_t i = 0; i < n; ++i, rows += dim, out += dim) {
    const float* const word = codebook + codes[i] * dim;
    float squares[kLanes] = {};
    for (int64_t j = 0; j < whole; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const float left = rows[j + lane] - word[j + lane];
        out[j + lane] = left;
        squares[lane] += left * left;
      }
    }
    for (int64_t j = whole; j < dim; ++j) {
      out[j] = rows[j] - word[j];
      squares[0] += out[j] * out[j];
    }
    for (const float square : squares) {
      total += static_cast<double>(square);
    }
  }
  return total;
}

HID_VECTOR_CLONES
void MoveAverages(const Averages& averages, const float* rows, const int64_t* codes, int64_t n,
                  float decay, float epsilon) {
  const int64_t count = averages.codes, dim = averages.dim;
  // Rows by code, in their order.
  std::vector<int64_t> ends(static_cast<size_t>(count + 1)), order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    ++ends[static_cast<size_t>(codes[i] + 1)];
  }
  for (size_t v = 1; v < ends.size(); ++v) {
    ends[v] += ends[v - 1];
  }
  std::vector<int64_t> next(ends.begin(), ends.end() - 1);
  for (int64_t i = 0; i < n; ++i) {
    order[static_cast<size_t>(next[static_cast<size_t>(codes[i])]++)] = i;
  }
  // Each average moves by a share of its distance: with two products in a sum the compiler could
  // fuse either of them, here one way and there another, and results would differ in the last bit.
  const float share = 1 - decay;
  float total = 0;
  for (int64_t v = 0; v < count; ++v) {
    const auto own =
        static_cast<float>(ends[static_cast<size_t>(v + 1)] - ends[static_cast<size_t>(v)]);
    averages.sizes[v] += (own - averages.sizes[v]) * share;
    total += averages.sizes[v];
  }
  std::vector<float> fresh(static_cast<size_t>(dim));
  for (int64_t v = 0; v < count; ++v) {
    float* const __restrict sums = averages.sums + v * dim;
    float* const __restrict word = averages.codebook + v * dim;
    float* const __restrict sum = fresh.data();
    const int64_t begin = ends[static_cast<size_t>(v)], end = ends[static_cast<size_t>(v + 1)];
    std::fill(fresh.begin(), fresh.end(), 0.0f);
    for (int64_t i = begin; i < end; ++i) {
      const float* const __restrict row = rows + order[static_cast<size_t>(i)] * dim;
      for (int64_t j = 0; j < dim; ++j) {
        sum[j] += row[j];
      }
    }
    const float smoothed =
        (averages.sizes[v] + epsilon) / (total + static_cast<float>(count) * epsilon) * total;
    for (int64_t j = 0; j < dim; ++j) {
      sums[j] += (sum[j] - sums[j]) * share;
      word[j] = sums[j] / smoothed;
    }
  }
}

}  // namespace hidreamer::tokenizer
