#ifndef HID_TARGET

#include "hidreamer/kernels/bf16_attention.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/kernels/vector_math.h"
#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/bf16_attention.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

void AttendHead(const Bf16Head& head, Bf16* out, int64_t out_stride, float* statistics,
                Bf16AttentionScratch& scratch) {
  HID_DISPATCH(AttendHead(head, out, out_stride, statistics, scratch));
}

void AttendHeadBackward(const Bf16Head& head, const float* statistics, const Bf16* gradient,
                        int64_t gradient_stride, Bf16* q_gradient, Bf16* k_gradient,
                        Bf16* v_gradient, Bf16AttentionScratch& scratch) {
  HID_DISPATCH(AttendHeadBackward(head, statistics, gradient, gradient_stride, q_gradient,
                                  k_gradient, v_gradient, scratch));
}

void SumColumns(const Bf16* x, int64_t rows, int64_t stride, int64_t width, float* sums) {
  HID_DISPATCH(SumColumns(x, rows, stride, width, sums));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

// rows (count, inner) `stride` apart times panels of (k, outputs), `from` the k-th on, to out
// (count, outputs), rows `out_stride` apart, with room for a whole tile of them. `left` is scratch.
struct Rows {
  const Bf16* first;
  int64_t stride;
  int64_t pair_stride = 2;
  const float* scales = nullptr;  // of columns of pairs
};
void Multiply(const Rows& rows, int64_t count, int64_t inner, const Bf16Panels& panels,
              int64_t from, int64_t panel_count, TileLeft& left, float* out, int64_t out_stride) {
  left.Take(count, {.length = inner, .pair_stride = rows.pair_stride, .scales = rows.scales},
            [&](int64_t r) { return rows.first + r * rows.stride; });
  for (int64_t p = 0; p < panel_count; ++p) {
    left.Multiply(panels.panel(p).From(from), out + p * kPanelOutputs, out_stride);
  }
}

void StoreRow(const float* numbers, int64_t n, Bf16* to) {
  for (int64_t i = 0; i < n; i += 16) {
    StoreBf16(to + i, Load(numbers + i));
  }
}

// scores (n) <- e^(scale * scores + additive - largest); entries from n to `padded` become 0.
// Returns {largest, sum}.
struct RowStatistics {
  float largest, sum;
};
RowStatistics Exponentiate(float* scores, const float* additive, float scale, int64_t n,
                           int64_t padded) {
  std::fill(scores + n, scores + padded, -INFINITY);
  Vector most = Spread(-INFINITY);
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = scores[i] * scale + additive[i];
  }
  for (int64_t i = 0; i < padded; i += 16) {
    most = Largest(most, Load(scores + i));
  }
  const float largest = LargestOf(most);
  for (int64_t i = 0; i < padded; ++i) {
    scores[i] = ExpOfNegative(scores[i] - largest);
  }
  Vector sum = Zero();
  for (int64_t i = 0; i < padded; i += 16) {
    sum = sum + Load(scores + i);
  }
  return {largest, SumOf(sum)};
}

// Two rows (n each) as pairs: out[i] = {first[i], second[i]}.
void StorePairs(const float* first, const float* second, int64_t n, Bf16* out) {
  for (int64_t i = 0; i < n; i += 16) {
    StoreBits(out + 2 * i,
              Or(ToHalves(Load(first + i)), ShiftLeft<16>(ToHalves(Load(second + i)))));
  }
}

}  // namespace

void AttendHead(const Bf16Head& head, Bf16* out, int64_t out_stride, float* statistics,
                Bf16AttentionScratch& scratch) {
  const int64_t positions = head.positions, d = head.width;
  const int64_t padded = RoundUp(positions, kPanelOutputs);
  const int64_t tile_rows = TileRows(), multiple = TileInner();
  const TileScope scope;
  scratch.k_outputs.PackAsOutputs(head.k, positions, d, head.stride);
  scratch.v_inner.PackAsInner(head.v, positions, d, head.stride);
  float* const scores = scratch.scores.Room(tile_rows * padded);
  Bf16* const weights = scratch.weights.Room(tile_rows * padded);
  float* const sums = scratch.sums.Room(tile_rows * d);
  float shares[kMostTileRows];
  for (int64_t first = head.first_query; first < positions; first += tile_rows) {
    const int64_t count = std::min(tile_rows, positions - first), keys = first + count;
    const int64_t panels = RoundUp(keys, kPanelOutputs) / kPanelOutputs;
    Multiply({head.q + first * head.stride, head.stride}, count, d, scratch.k_outputs, 0, panels,
             scratch.left, scores, padded);
    for (int64_t r = 0; r < count; ++r) {
      float* const row = scores + r * padded;
      const RowStatistics found = Exponentiate(row, head.additive + (first + r) * positions,
                                               head.scale, keys, panels * kPanelOutputs);
      shares[r] = 1 / found.sum;
      if (statistics != nullptr) {
        statistics[first + r] = found.largest;
        statistics[positions + first + r] = shares[r];
      }
      if (head.dropout.threshold > 0) {
        ApplyDropout(head.dropout,
                     head.dropout_index + static_cast<uint32_t>((first + r) * positions), row, keys,
                     row);
      }
      StoreRow(row, panels * kPanelOutputs, weights + r * padded);
    }
    Multiply({weights, padded}, count, RoundUp(keys, multiple), scratch.v_inner, 0,
             d / kPanelOutputs, scratch.left, sums, d);
    for (int64_t r = 0; r < count; ++r) {
      const Vector share = Spread(shares[r]);
      for (int64_t j = 0; j < d; j += 16) {
        StoreBf16(out + (first + r) * out_stride + j, share * Load(sums + r * d + j));
      }
    }
  }
}

void AttendHeadBackward(const Bf16Head& head, const float* statistics, const Bf16* gradient,
                        int64_t gradient_stride, Bf16* q_gradient, Bf16* k_gradient,
                        Bf16* v_gradient, Bf16AttentionScratch& scratch) {
  const int64_t positions = head.positions, d = head.width;
  const int64_t tile_rows = TileRows(), multiple = TileInner();
  const int64_t padded = RoundUp(positions, kPanelOutputs), inner = RoundUp(positions, multiple);
  const TileScope scope;
  scratch.k_outputs.PackAsOutputs(head.k, positions, d, head.stride);
  scratch.v_outputs.PackAsOutputs(head.v, positions, d, head.stride);
  scratch.k_inner.PackAsInner(head.k, positions, d, head.stride);
  scratch.q_inner.PackAsInner(head.q, positions, d, head.stride);
  scratch.gradient_inner.PackAsInner(gradient, positions, d, gradient_stride);
  float* const scores = scratch.scores.Room(tile_rows * padded);
  float* const gradients = scratch.gradients.Room(tile_rows * padded);
  Bf16* const narrow = scratch.weights.Room(tile_rows * padded);
  float* const sums = scratch.sums.Room(tile_rows * d);
  // Pairs of queries, (P / 2, keys, 2): columns of the transposed weights' rows.
  Bf16* const weight_pairs = scratch.weight_pairs.Room(inner * padded);
  Bf16* const score_pairs = scratch.score_pairs.Room(inner * padded);
  for (int64_t first = 0; first < positions; first += tile_rows) {
    const int64_t count = std::min(tile_rows, positions - first), keys = first + count;
    const int64_t panels = RoundUp(keys, kPanelOutputs) / kPanelOutputs;
    const int64_t width = panels * kPanelOutputs;
    Multiply({head.q + first * head.stride, head.stride}, count, d, scratch.k_outputs, 0, panels,
             scratch.left, scores, padded);
    Multiply({gradient + first * gradient_stride, gradient_stride}, count, d, scratch.v_outputs, 0,
             panels, scratch.left, gradients, padded);
    for (int64_t r = 0; r < count; ++r) {
      float* const weights = scores + r * padded;
      float* const upstream = gradients + r * padded;
      const float* const additive = head.additive + (first + r) * positions;
      const float largest = statistics[first + r], share = statistics[positions + first + r];
      const float scale = head.scale;
      for (int64_t i = 0; i < keys; ++i) {
        weights[i] = ExpOfNegative(weights[i] * scale + additive[i] - largest) * share;
      }
      std::fill(weights + keys, weights + width, 0.0f);
      std::fill(upstream + keys, upstream + width, 0.0f);
      // The softmax's gradient, and the weights as they were after dropout.
      const DropoutPlan plan = head.dropout;
      const auto index = head.dropout_index + static_cast<uint32_t>((first + r) * positions);
      Vector dots = Zero();
      if (plan.threshold > 0) {
        ApplyDropout(plan, index, upstream, keys, upstream);
      }
      for (int64_t i = 0; i < width; i += 16) {
        dots = MultiplyAdd(Load(weights + i), Load(upstream + i), dots);
      }
      const float dot = SumOf(dots);
      for (int64_t i = 0; i < width; ++i) {
        upstream[i] = weights[i] * (upstream[i] - dot) * scale;
      }
      if (plan.threshold > 0) {
        ApplyDropout(plan, index, weights, keys, weights);
      }
      StoreRow(upstream, width, narrow + r * padded);
    }
    const int64_t rounded = RoundUp(count, multiple);  // behind the last positions there is nothing
    for (int64_t r = count; r < rounded; ++r) {
      std::fill_n(scores + r * padded, width, 0.0f);
      std::fill_n(gradients + r * padded, width, 0.0f);
    }
    for (int64_t r = 0; r < rounded; r += 2) {
      const int64_t at = (first + r) * padded;
      StorePairs(scores + r * padded, scores + (r + 1) * padded, width, weight_pairs + at);
      StorePairs(gradients + r * padded, gradients + (r + 1) * padded, width, score_pairs + at);
    }
    Multiply({narrow, padded}, count, RoundUp(keys, multiple), scratch.k_inner, 0,
             d / kPanelOutputs, scratch.left, sums, d);
    for (int64_t r = 0; r < count; ++r) {
      StoreRow(sums + r * d, d, q_gradient + (first + r) * head.stride);
    }
  }
  float* const scales = scratch.scales.Room(2 * padded);
  if (InFixedPoint()) {
    for (int64_t key = 0; key < padded; key += kPanelOutputs) {
      const int64_t first = key / tile_rows * tile_rows;  // the block that sees the first of them
      const int64_t at = first * padded + 2 * key, count = (inner - first) / 2;
      FixColumns(weight_pairs + at, count, kPanelOutputs, 2 * padded, scales + key);
      FixColumns(score_pairs + at, count, kPanelOutputs, 2 * padded, scales + padded + key);
    }
  }
  // Keys of a group are seen from the group's block of queries on; its panels start there.
  for (int64_t first = 0; first < positions; first += tile_rows) {
    const int64_t count = std::min(tile_rows, positions - first), queries = inner - first;
    const auto columns = [&](const Bf16* pairs, const float* of) {
      return Rows{pairs + first * padded + 2 * first, 2, 2 * padded, of + first};
    };
    Multiply(columns(weight_pairs, scales), count, queries, scratch.gradient_inner, first,
             d / kPanelOutputs, scratch.left, sums, d);
    for (int64_t r = 0; r < count; ++r) {
      StoreRow(sums + r * d, d, v_gradient + (first + r) * head.stride);
    }
    Multiply(columns(score_pairs, scales + padded), count, queries, scratch.q_inner, first,
             d / kPanelOutputs, scratch.left, sums, d);
    for (int64_t r = 0; r < count; ++r) {
      StoreRow(sums + r * d, d, k_gradient + (first + r) * head.stride);
    }
  }
}

void SumColumns(const Bf16* x, int64_t rows, int64_t stride, int64_t width, float* sums) {
  for (int64_t c = 0; c < width; c += 32) {
    Vector low = Zero(), high = Zero();
    for (int64_t r = 0; r < rows; ++r) {
      low = low + LoadBf16(x + r * stride + c);
      high = high + LoadBf16(x + r * stride + c + 16);
    }
    Store(sums + c, low);
    Store(sums + c + 16, high);
  }
}

}  // namespace hidreamer::kernels::HID_TARGET

#endif
