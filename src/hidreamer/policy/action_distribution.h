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

 private:
  torch::Tensor probabilities_;      // (..., A)
  torch::Tensor log_probabilities_;  // (..., A)
};

// Actions (...) i64 drawn from probabilities (..., A) with `uniforms` (...) in [0, 1). Temperature
// 1 draws them as they are, a lower one favours the likely ones, 0 takes the likeliest.
torch::Tensor ChooseActions(const torch::Tensor& probabilities, double temperature,
                            const torch::Tensor& uniforms);

// Trained policies are scored at this temperature, as IRIS scores its agents: while it learns, a
// policy keeps an entropy for exploring that costs points.
constexpr double kScoringTemperature = 0.5;

}  // namespace hidreamer::policy
