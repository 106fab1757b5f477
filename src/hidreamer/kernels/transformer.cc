#ifndef HID_TARGET

#include "hidreamer/kernels/transformer.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "hidreamer/kernels/bf16_attention.h"
#include "hidreamer/kernels/norm_activation.h"
#include "hidreamer/kernels/vector_math.h"
#include "hidreamer/kernels/vectors.h"

#define HID_KERNELS "hidreamer/kernels/transformer.cc"
#include "hidreamer/kernels/each_target.h"

namespace hidreamer::kernels {

DecodeCache::DecodeCache(int64_t layers, int64_t batch, int64_t heads, int64_t head_width,
                         int64_t places)
    : batch_(batch),
      heads_(heads),
      head_width_(head_width),
      places_(RoundUp(places, kPanelPlaces)),
      keys_(static_cast<size_t>(layers * batch * heads * head_size())),
      values_(keys_.size()) {}

void DecodeCache::Store(int64_t layer, int64_t row, int64_t head, int64_t place, const Bf16* key,
                        const Bf16* value) {
  const int64_t offset = Offset(layer, row, head);
  Bf16* to_key = Key(offset, place);
  for (int64_t k = 0; k < head_width_; k += 2, to_key += kKeyStep) {
    std::copy_n(key + k, 2, to_key);
  }
  Bf16* to_value = Value(offset, place);
  for (int64_t column = 0; column < head_width_; column += kPanelOutputs) {
    for (int64_t j = 0; j < kPanelOutputs; ++j) {
      to_value[2 * j] = value[column + j];
    }
    to_value += kPanelOutputs * places_;
  }
}

void DecodeCache::Move(int64_t layer, int64_t row, int64_t from, int64_t to) {
  for (int64_t head = 0; head < heads_; ++head) {
    const int64_t offset = Offset(layer, row, head);
    const Bf16* from_key = Key(offset, from);
    Bf16* to_key = Key(offset, to);
    for (int64_t k = 0; k < head_width_; k += 2, from_key += kKeyStep, to_key += kKeyStep) {
      std::copy_n(from_key, 2, to_key);
    }
    const Bf16* from_value = Value(offset, from);
    Bf16* to_value = Value(offset, to);
    for (int64_t column = 0; column < head_width_; column += kPanelOutputs) {
      for (int64_t j = 0; j < 2 * kPanelOutputs; j += 2) {
        to_value[j] = from_value[j];
      }
      from_value += kPanelOutputs * places_;
      to_value += kPanelOutputs * places_;
    }
  }
}

DecodeTeam::DecodeTeam(const TransformerWeights& weights, int64_t rows)
    : narrow(static_cast<size_t>(rows * weights.width)),
      qkv(3 * narrow.size()),
      hidden(static_cast<size_t>(rows * weights.hidden_width)) {}

void DecodeTeam::Meet(int64_t size) {
  if (size == 1) {
    return;
  }
  // The others come within microseconds, or their core is taken: then it is not held up.
  constexpr int kPatience = 4000;
  const int64_t meeting = meetings_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    meetings_.store(meeting + 1, std::memory_order_release);
    return;
  }
  for (int tries = 0; meetings_.load(std::memory_order_acquire) == meeting; ++tries) {
    if (tries > kPatience) {
      std::this_thread::yield();
    }
  }
}

void TransformSequence(const TransformerWeights& weights, const float* additive, int64_t positions,
                       int64_t from, float* x, const std::vector<Bf16*>& qkv) {
  HID_DISPATCH(TransformSequence(weights, additive, positions, from, x, qkv));
}

void DecodeRows(const TransformerWeights& weights, DecodeCache& cache, const int64_t* begins,
                int64_t place, int64_t rows, float* x, DecodeTeam& team, Part part) {
  HID_DISPATCH(DecodeRows(weights, cache, begins, place, rows, x, team, part));
}

}  // namespace hidreamer::kernels

#else

namespace hidreamer::kernels::HID_TARGET {
namespace {

// x (rows, K) times a part of a linear map; use(row, first output, its 16 sums with the bias).
template <class Use>
void Apply(const LinearWeights& linear, const Bf16* x, int64_t rows, Part part, const Use& use) {
  MultiplyRows(
      x, rows, linear.weight.inner(), linear.weight, part,
      [&](int64_t begin, int64_t count, int64_t column, int64_t, const float* tile) {
        for (int64_t r = 0; r < count; ++r) {
          for (int64_t j = 0; j < kPanelOutputs; j += 16) {
            use(begin + r, column + j,
                Load(tile + r * kPanelOutputs + j) + Load(linear.bias.data() + column + j));
          }
        }
      });
}

void ApplyTo(const LinearWeights& linear, const Bf16* x, int64_t rows, Part part, Bf16* out) {
  LinearRows(x, rows, linear.weight, linear.bias.data(), part, out);
}

void ApplyGeluTo(const LinearWeights& linear, const Bf16* x, int64_t rows, Part part, Bf16* out) {
  Apply(linear, x, rows, part, [&](int64_t r, int64_t column, Vector sums) {
    StoreBf16(out + r * linear.weight.outputs() + column, EachOf(sums, Gelu));
  });
}

// out (rows, N) f32 += the linear map of x.
void AddApplied(const LinearWeights& linear, const Bf16* x, int64_t rows, Part part, float* out) {
  Apply(linear, x, rows, part, [&](int64_t r, int64_t column, Vector sums) {
    float* const at = out + r * linear.weight.outputs() + column;
    Store(at, Load(at) + sums);
  });
}

// x (rows, D) -> out; of a part of the rows.
void Normalize(const NormWeights& norm, const float* x, int64_t rows, Part part, Bf16* out) {
  const auto width = static_cast<int64_t>(norm.weight.size());
  const int64_t begin = part.Begin(rows);
  NormalizeRows(x + begin * width, norm.weight.data(), norm.bias.data(), norm.epsilon,
                part.End(rows) - begin, width, out + begin * width, nullptr);
}
void Normalize(const NormWeights& norm, float* x, int64_t rows, Part part) {
  const auto width = static_cast<int64_t>(norm.weight.size());
  float* const own = x + part.Begin(rows) * width;
  NormalizeRows(own, norm.weight.data(), norm.bias.data(), norm.epsilon,
                part.End(rows) - part.Begin(rows), width, own);
}

void Fetch(const Bf16* line) { _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0); }

// scores (16 kPanels) of a query against panels of keys; fetches what lies `ahead` of them. The sum
// over d goes through two halves, as one chain of additions a vector would wait for itself.
template <int kPanels>
void ScorePanels(const Bf16* q, const Bf16* keys, int64_t d, int64_t ahead, float* scores) {
  constexpr int64_t kPlaces = DecodeCache::kPanelPlaces;
  Vector sums[kPanels][2] = {};
  for (int64_t k = 0; k < d; k += 4) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const Pair pair = SpreadPair(q + k + 2 * half);
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        const Bf16* const at = keys + p * kPlaces * d + (k + 2 * half) * kPlaces;
        Fetch(at + ahead);
        sums[p][half] = AddProducts(sums[p][half], pair, at);
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    Store(scores + p * kPlaces, sums[p][0] + sums[p][1]);
  }
}

// weights (n) <- e^(scale * (scores - largest)) outside of [begin, end) 0, in bf16; returns the
// sum.
float Exponentiate(const float* scores, int64_t n, int64_t begin, int64_t end, float scale,
                   Bf16* weights) {
  const Vector nothing = Spread(-INFINITY);
  const auto seen = [&](int64_t i) { return LanesBetween(begin - i, end - i); };
  Vector most = nothing;
  for (int64_t i = 0; i < n; i += 16) {
    if (i < end) {
      most = Largest(most, Load(seen(i), scores + i, nothing));
    }
  }
  const float largest = LargestOf(most);
  Vector sum = Zero();
  for (int64_t i = 0; i < n; i += 16) {
    const Vector shares = EachOf(Load(seen(i), scores + i, nothing), [&](float score) {
      return ExpOfNegative((score - largest) * scale);
    });
    sum = sum + shares;
    StoreBf16(weights + i, shares);
  }
  return SumOf(sum);
}

// out (d) bf16 = softmax(scale * keys q) values over [begin, end). Of the cache's panels only those
// that hold some of it are read. All heads of all rows are more than the caches hold, and each lies
// in several pieces: the next head's are fetched meanwhile.
void AttendInBf16(const DecodeCache& cache, const Bf16* q, const Bf16* keys, const Bf16* values,
                  int64_t begin, int64_t end, float* scores, Bf16* weights, Bf16* out) {
  constexpr int64_t kPlaces = DecodeCache::kPanelPlaces;
  const int64_t d = cache.head_width(), ahead = cache.head_size();
  const int64_t first = begin / kPlaces * kPlaces, panels = (end - first + kPlaces - 1) / kPlaces;
  const Bf16* const key_panels = keys + first * d;
  int64_t p = 0;
  for (; p + 4 <= panels; p += 4) {
    ScorePanels<4>(q, key_panels + p * kPlaces * d, d, ahead, scores + p * kPlaces);
  }
  for (; p < panels; ++p) {
    ScorePanels<1>(q, key_panels + p * kPlaces * d, d, ahead, scores + p * kPlaces);
  }
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const float sum =
      Exponentiate(scores, panels * kPlaces, begin - first, end - first, scale, weights);
  const Vector share = Spread(1 / sum);
  const int64_t pairs = (end - first + 3) / 4 * 2;  // behind `end` a weight is 0
  for (int64_t column = 0; column < d; column += kPanelOutputs) {
    const Bf16* at = values + column * cache.places() + first * kPanelOutputs;
    Vector sums[2][2] = {};
    for (int64_t pair = 0; pair < pairs; pair += 2) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half, at += 2 * kPanelOutputs) {
        const Pair both = SpreadPair(weights + 2 * (pair + half));
        Fetch(at + ahead);
        Fetch(at + ahead + kPanelOutputs);
        sums[half][0] = AddProducts(sums[half][0], both, at);
        sums[half][1] = AddProducts(sums[half][1], both, at + kPanelOutputs);
      }
    }
    for (int half = 0; half < 2; ++half) {
      StoreBf16(out + column + 16 * half, (sums[0][half] + sums[1][half]) * share);
    }
  }
}

}  // namespace

void TransformSequence(const TransformerWeights& weights, const float* additive, int64_t positions,
                       int64_t from, float* x, const std::vector<Bf16*>& qkv) {
  // The hidden numbers of so many rows, and the weights beside them, fit the second cache.
  constexpr int64_t kHiddenRows = 96;
  const int64_t width = weights.width, d = width / weights.heads;
  AlignedBuffer<Bf16> narrow(positions * width), own_qkv(qkv.empty() ? 3 * positions * width : 0),
      hidden(kHiddenRows * weights.hidden_width);
  Bf16AttentionScratch scratch;
  const size_t layers = weights.blocks.size();
  for (size_t layer = 0; layer < layers; ++layer) {
    const BlockWeights& block = weights.blocks[layer];
    Bf16* const projected = qkv.empty() ? own_qkv.data() : qkv[layer];
    // What the last block makes of earlier positions nobody reads; their keys and values are.
    const int64_t begin = layer + 1 == layers ? from : 0, rows = positions - begin;
    float* const stream = x + begin * width;
    Bf16* const narrow_rows = narrow.data() + begin * width;
    Normalize(block.norm1, x, positions, {}, narrow.data());
    ApplyTo(block.qkv, narrow_rows, rows, {0, 3}, projected + 3 * begin * width);
    ApplyTo(block.qkv, narrow.data(), positions, {1, 3}, projected);
    ApplyTo(block.qkv, narrow.data(), positions, {2, 3}, projected);
    for (int64_t head = 0; head < weights.heads; ++head) {
      const Bf16* const q = projected + head * d;
      AttendHead({.q = q,
                  .k = q + width,
                  .v = q + 2 * width,
                  .stride = 3 * width,
                  .positions = positions,
                  .first_query = begin,
                  .width = d,
                  .additive = additive,
                  .scale = 1 / std::sqrt(static_cast<float>(d)),
                  .dropout = {},
                  .dropout_index = 0},
                 narrow.data() + head * d, width, nullptr, scratch);
    }
    AddApplied(block.out, narrow_rows, rows, {}, stream);
    Normalize(block.norm2, stream, rows, {}, narrow_rows);
    for (int64_t first = 0; first < rows; first += kHiddenRows) {
      const int64_t count = std::min(kHiddenRows, rows - first);
      ApplyGeluTo(block.expand, narrow_rows + first * width, count, {}, hidden.data());
      AddApplied(block.contract, hidden.data(), count, {}, stream + first * width);
    }
  }
  Normalize(weights.final_norm, x + from * width, positions - from, {});
}

void DecodeRows(const TransformerWeights& weights, DecodeCache& cache, const int64_t* begins,
                int64_t place, int64_t rows, float* x, DecodeTeam& team, Part part) {
  const int64_t width = weights.width, d = cache.head_width();
  std::vector<float> scores(static_cast<size_t>(cache.places()));
  std::vector<Bf16> shares(static_cast<size_t>(cache.places()));
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    const BlockWeights& block = weights.blocks[i];
    const auto layer = static_cast<int64_t>(i);
    Normalize(block.norm1, x, rows, part, team.narrow.data());
    team.Meet(part.count);
    ApplyTo(block.qkv, team.narrow.data(), rows, part, team.qkv.data());
    team.Meet(part.count);
    for (int64_t r = part.Begin(rows); r < part.End(rows); ++r) {
      const Bf16* const q = team.qkv.data() + 3 * r * width;
      for (int64_t head = 0; head < weights.heads; ++head) {
        cache.Store(layer, r, head, place, q + width + head * d, q + 2 * width + head * d);
        AttendInBf16(cache, q + head * d, cache.keys(layer, r, head), cache.values(layer, r, head),
                     begins[r], place + 1, scores.data(), shares.data(),
                     team.narrow.data() + r * width + head * d);
      }
    }
    team.Meet(part.count);
    AddApplied(block.out, team.narrow.data(), rows, part, x);
    team.Meet(part.count);
    Normalize(block.norm2, x, rows, part, team.narrow.data());
    team.Meet(part.count);
    ApplyGeluTo(block.expand, team.narrow.data(), rows, part, team.hidden.data());
    team.Meet(part.count);
    AddApplied(block.contract, team.hidden.data(), rows, part, x);
    team.Meet(part.count);
  }
  Normalize(weights.final_norm, x, rows, part);
}

}  // namespace hidreamer::kernels::HID_TARGET

#endif
