#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "hidreamer/kernels/transformer.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/layers/versioned_cache.h"

namespace hidreamer::layers {

using kernels::DecodeCache;

class PackedTransformer;

// A transformer between the embedding and the heads.
struct TransformerParts {
  std::vector<TransformerBlock> blocks;
  torch::nn::LayerNorm final_norm{nullptr};
  int64_t heads = 1;
  int64_t hidden_width = 0;  // of the feed-forward layers
  // Where the weights are kept as the kernels read them, where they can be.
  std::shared_ptr<VersionedCache<PackedTransformer>> packed;
};

// A transformer's blocks for evaluation in bf16 on the CPU, with the weights in the order in which
// the kernels read them. A copy of what they were when it was made (5 ms for 11M parameters).
class PackedTransformer {
 public:
  // Whether the processor has the kernels and the widths suit them.
  static bool Can(const TransformerParts& parts);
  // Whether it is to be used as things stand: no gradients, bf16 autocast, and it can be.
  static bool Applies(const TransformerParts& parts);
  explicit PackedTransformer(const TransformerParts& parts);
  // The one that is kept, made anew where the parameters have changed.
  static std::shared_ptr<const PackedTransformer> Of(const TransformerParts& parts);

  // x (B, P, D), embedded sequences, f32, overwritten -> the hidden states (B, P - from, D) of the
  // positions from `from` on. additive (P, P) or, different for each sequence, (B, P, P): 0 or
  // -infinity. Where `qkv` is given it receives each block's projection (B, P, 3 D) in bf16, the
  // last block's without queries before `from`.
  torch::Tensor Transform(torch::Tensor x, const torch::Tensor& additive,
                          std::vector<torch::Tensor>* qkv, int64_t from) const;
  // x (B, D), an embedded position -> its hidden state (B, D). See DecodeRows.
  torch::Tensor Decode(const torch::Tensor& x, DecodeCache& cache,
                       const std::vector<int64_t>& begins, int64_t place) const;
  // Puts the keys and values of qkv (layers x (B, P, 3 D)), those of position sources[i] at
  // places[i], into the cache.
  void Fill(DecodeCache& cache, const std::vector<torch::Tensor>& qkv,
            const std::vector<int64_t>& sources, const std::vector<int64_t>& places) const;

 private:
  void CountProducts(int64_t rows, int64_t last_block_rows) const;

  kernels::TransformerWeights weights_;
};

}  // namespace hidreamer::layers
