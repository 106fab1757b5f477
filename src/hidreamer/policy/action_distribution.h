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

}  // namespace hidreamer::policy
