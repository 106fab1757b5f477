#pragma once

#include <torch/torch.h>

#include <utility>
#include <vector>

#include "hidreamer/world_model/transformer_kernels.h"

namespace hidreamer::world_model {

class WorldModelImpl;

// A world model's blocks for evaluation in bf16 on the CPU, with the weights in the order in which
// the kernels read them. A copy of what they were when it was made (5 ms for 11M parameters).
class PackedTransformer {
 public:
  // Whether the processor has the kernels and the model's widths suit them.
  static bool Can(WorldModelImpl& model);
  explicit PackedTransformer(WorldModelImpl& model);
  // Whether the model's parameters are still those that were packed, by their places and version
  // counters, which torch raises at every change.
  bool IsOf(WorldModelImpl& model) const;

  // As WorldModelImpl::Hidden; qkv in bf16, the last block's without queries before `from`.
  torch::Tensor Hidden(WorldModelImpl& model, const torch::Tensor& tokens,
                       const torch::Tensor& actions, std::vector<torch::Tensor>* qkv,
                       int64_t from) const;
  // x (B, D), an embedded position -> its hidden state (B, D). See DecodeRows.
  torch::Tensor Decode(const torch::Tensor& x, DecodeCache& cache, int64_t begin,
                       int64_t place) const;

 private:
  using Version = std::pair<const void*, int64_t>;
  static std::vector<Version> VersionsOf(WorldModelImpl& model);

  void CountProducts(int64_t rows, int64_t last_block_rows) const;

  std::vector<Version> versions_;
  TransformerWeights weights_;
};

}  // namespace hidreamer::world_model
