#include "hidreamer/kernels/quantizer.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "hidreamer/kernels/vector_clones.h"

namespace hidreamer::kernels {
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

AveragesMove::AveragesMove(const Averages& averages, const float* rows, const int64_t* codes,
                           int64_t n, float decay, float epsilon)
    : averages_(averages),
      rows_(rows),
      share_(1 - decay),
      epsilon_(epsilon),
      ends_(static_cast<size_t>(averages.codes + 1)),
      order_(static_cast<size_t>(n)) {
  for (int64_t i = 0; i < n; ++i) {
    ++ends_[static_cast<size_t>(codes[i] + 1)];
  }
  for (size_t v = 1; v < ends_.size(); ++v) {
    ends_[v] += ends_[v - 1];
  }
  std::vector<int64_t> next(ends_.begin(), ends_.end() - 1);
  for (int64_t i = 0; i < n; ++i) {
    order_[static_cast<size_t>(next[static_cast<size_t>(codes[i])]++)] = i;
  }
  for (int64_t v = 0; v < averages.codes; ++v) {
    const auto own =
        static_cast<float>(ends_[static_cast<size_t>(v + 1)] - ends_[static_cast<size_t>(v)]);
    averages.sizes[v] += (own - averages.sizes[v]) * share_;
    total_ += averages.sizes[v];
  }
}

namespace {

// Each average moves by a share of its distance: with two products in a sum the compiler could fuse
// either of them, here one way and there another, and results would differ in the last bit.
HID_VECTOR_CLONES
void MoveCodeword(const float* rows, const int64_t* own, int64_t count, int64_t dim, float share,
                  float smoothed, float* __restrict sums, float* __restrict word,
                  float* __restrict fresh) {
  std::fill(fresh, fresh + dim, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    const float* const __restrict row = rows + own[i] * dim;
    for (int64_t j = 0; j < dim; ++j) {
      fresh[j] += row[j];
    }
  }
  for (int64_t j = 0; j < dim; ++j) {
    sums[j] += (fresh[j] - sums[j]) * share;
    word[j] = sums[j] / smoothed;
  }
}

}  // namespace

void AveragesMove::Move(int64_t first, int64_t last) const {
  const int64_t dim = averages_.dim;
  std::vector<float> fresh(static_cast<size_t>(dim));
  for (int64_t v = first; v < last; ++v) {
    const int64_t begin = ends_[static_cast<size_t>(v)], end = ends_[static_cast<size_t>(v + 1)];
    const float smoothed = (averages_.sizes[v] + epsilon_) /
                           (total_ + static_cast<float>(averages_.codes) * epsilon_) * total_;
    MoveCodeword(rows_, order_.data() + begin, end - begin, dim, share_, smoothed,
                 averages_.sums + v * dim, averages_.codebook + v * dim, fresh.data());
  }
}

}  // namespace hidreamer::kernels
