#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "hidreamer/kernels/gemm.h"

// A transformer's blocks in evaluation, in bf16 with sums and the stream between them in f32: all
// blocks for some rows without leaving the thread, so that neither calls nor waiting threads cost
// between the products, and what follows a product is done while its sums are in the first cache.
// Only where HasBf16Kernels().
namespace hidreamer::kernels {

struct NormWeights {
  std::vector<float> weight, bias;  // (D)
  float epsilon = 1e-5f;            // torch's
};

struct LinearWeights {
  Bf16Matrix weight;        // (K, N)
  std::vector<float> bias;  // (N)
};

struct BlockWeights {
  NormWeights norm1, norm2;
  LinearWeights qkv, out, expand, contract;
};

struct TransformerWeights {
  int64_t width = 0, heads = 0, hidden_width = 0;  // D; D / heads a multiple of 32
  std::vector<BlockWeights> blocks;
  NormWeights final_norm;
};

// Keys and values of all layers, rows and heads, as the products of one query read them:
//   keys (d, places) as panels of 16 places, values (places, d) as panels of 32 columns,
// both in pairs along the sum. The heads of a row, and the rows, lie one behind the other.
class DecodeCache {
 public:
  static constexpr int64_t kPanelPlaces = 16;
  // The first place from `place` on at which a panel begins.
  static int64_t PanelFrom(int64_t place) { return RoundUp(place, kPanelPlaces); }

  DecodeCache(int64_t layers, int64_t batch, int64_t heads, int64_t head_width, int64_t places);

  // key and value (d) of a head.
  void Store(int64_t layer, int64_t row, int64_t head, int64_t place, const Bf16* key,
             const Bf16* value);
  // Copies what lies at a place, of all heads.
  void Move(int64_t layer, int64_t row, int64_t from, int64_t to);

  int64_t head_width() const { return head_width_; }
  int64_t head_size() const { return places_ * head_width_; }  // numbers from a head to the next
  const Bf16* keys(int64_t layer, int64_t row, int64_t head) const {
    return keys_.data() + Offset(layer, row, head);
  }
  const Bf16* values(int64_t layer, int64_t row, int64_t head) const {
    return values_.data() + Offset(layer, row, head);
  }
  int64_t places() const { return places_; }  // rounded up to whole panels

 private:
  int64_t Offset(int64_t layer, int64_t row, int64_t head) const {
    return ((layer * batch_ + row) * heads_ + head) * head_size();
  }
  // Its first pair; the next lies kKeyStep on.
  static constexpr int64_t kKeyStep = 2 * kPanelPlaces;
  Bf16* Key(int64_t offset, int64_t place) {
    return keys_.data() + offset + place / kPanelPlaces * kPanelPlaces * head_width_ +
           place % kPanelPlaces * 2;
  }
  // Its first of 32 numbers, 2 apart; the next panel lies 32 places on.
  Bf16* Value(int64_t offset, int64_t place) {
    return values_.data() + offset + place / 2 * 2 * kPanelOutputs + place % 2;
  }

  int64_t batch_, heads_, head_width_, places_;
  std::vector<Bf16> keys_, values_;
};

// x (P, D) f32: one embedded sequence; from position `from` on it becomes the hidden states after
// the final norm, before that nothing of use. additive (P, P) as Bf16Head's. qkv, where given: for
// each block the first number of this sequence's projection (P, 3 D), which it receives (of the
// last block, queries from `from` on only).
void TransformSequence(const TransformerWeights& weights, const float* additive, int64_t positions,
                       int64_t from, float* x, const std::vector<Bf16*>& qkv = {});

// Threads that work on one position together. Each reads its part of the weights for all rows:
// more threads than cores that are free would wait for one another.
class DecodeTeam {
 public:
  DecodeTeam(const TransformerWeights& weights, int64_t rows);

  // Returns when all `size` have come here.
  void Meet(int64_t size);

  // Numbers between the products, (rows, …) each.
  std::vector<Bf16> narrow, qkv, hidden;

 private:
  std::atomic<int64_t> arrived_ = 0, meetings_ = 0;
};

// x (rows, D) f32: the embedded position of all rows of the cache; becomes their hidden states
// after the final norm. Stores the position at `place`; row r sees [begins[r], place]. To be called
// by every member of the team at the same time, each with its own part.
void DecodeRows(const TransformerWeights& weights, DecodeCache& cache, const int64_t* begins,
                int64_t place, int64_t rows, float* x, DecodeTeam& team, Part part);

}  // namespace hidreamer::kernels
