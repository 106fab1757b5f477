#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "hidreamer/layers/packed_transformer.h"
#include "hidreamer/layers/precision.h"

namespace hidreamer::layers {

// Keys and values of B sequences that a transformer goes on with one position at a time. Where they
// lie, at one of the `places` of each sequence, is up to the caller; a position sees one contiguous
// range of them, so that no mask is needed. Builds no graph.
class TransformerCache {
 public:
  // precision: of products, and of what is kept.
  TransformerCache(TransformerParts transformer, int64_t batch, int64_t places,
                   Precision precision);

  // The first place from `place` on where a range that is read should begin.
  static int64_t BeginFrom(const TransformerParts& transformer, Precision precision, int64_t place);

  // The weights have changed, or may have. What is kept is to be filled anew.
  void Reset() { packed_.reset(); }
  // Keeps position sources[i] of what the blocks projected, layers x (B, P, 3 D), at places[i].
  void Fill(const std::vector<torch::Tensor>& qkv, const std::vector<int64_t>& sources,
            const std::vector<int64_t>& places);
  // x (B, D), an embedded position, is kept at `place` and sees the places from `begin` to there
  // -> its hidden state (B, D) f32.
  torch::Tensor Decode(const torch::Tensor& x, int64_t begin, int64_t place);
  // Each sequence from a begin of its own, (B) int64.
  torch::Tensor Decode(const torch::Tensor& x, const torch::Tensor& begins, int64_t place);
  // Copies what lies at `first` to `second`, one after the other.
  void Move(const std::vector<std::pair<int64_t, int64_t>>& moves);

 private:
  const PackedTransformer& Packed();
  // attend(q (B, heads, d), keys, values (B, heads, places, d)) -> (B, heads * d)
  template <class Attend>
  torch::Tensor DecodeThroughModules(torch::Tensor x, int64_t place, const Attend& attend);

  TransformerParts transformer_;
  int64_t batch_, head_width_;
  Precision precision_;
  // Where the transformer can be packed; packed_ from the first use after a Reset on.
  std::optional<DecodeCache> kernel_cache_;
  std::shared_ptr<const PackedTransformer> packed_;
  // Else:
  torch::Tensor cache_;  // (2, layers, B, heads, places, d): keys, values
  // Fill's sources and places on the cache's device, by the number of positions and the last place.
  std::map<std::pair<int64_t, int64_t>, std::pair<torch::Tensor, torch::Tensor>> filled_;
};

}  // namespace hidreamer::layers
