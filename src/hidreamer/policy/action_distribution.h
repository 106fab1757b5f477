#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace hidreamer::policy {

// The actor's distribution over A actions: (1 - unimix) softmax(logits) + unimix / A, so that no
// action's probability ever reaches 0 (DreamerV3).
class ActionDistribution {
 public:
  ActionDistribution(const torch::Tensor& logits, double unimix);  // logits (..., A)

  const torch::Tensor& probabilities() const { return probabilities_; }  // (..., A)
  torch::Tensor LogProb(const torch::Tensor& actions) const;  // actions (...) i64 -> (...)
  torch::Tensor Entropy() const;                              // (...) nats
  torch::Tensor Greedy() const;                               // (...) i64

 private:
  torch::Tensor probabilities_;      // (..., A)
  torch::Tensor log_probabilities_;  // (..., A)
};

// One category per row by inversion of the cumulative distribution: row b gets the category where
// `uniforms`[b] falls. Rows need not sum to 1. probabilities (..., V), uniforms (...) in [0, 1) ->
// (...) i64.
torch::Tensor CategoryAt(const torch::Tensor& probabilities, const torch::Tensor& uniforms);

// The same with uniforms drawn on the CPU from `generator`, so that all devices see the same
// numbers.
torch::Tensor SampleCategory(const torch::Tensor& probabilities, at::Generator generator);

}  // namespace hidreamer::policy
