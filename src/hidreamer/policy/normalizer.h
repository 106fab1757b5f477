#pragma once

#include <torch/torch.h>

#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::policy {

struct ReturnNormalizerOptions {
  double decay = 0.99;     // of the moving averages
  double low = 0.05;       // lower quantile
  double high = 0.95;      // upper quantile
  double min_scale = 1.0;  // small returns are not blown up
};

// Scales advantages by the spread of the returns: max(q95 - q5, 1), quantiles of each batch
// averaged over batches, the first batch taken as it is (DreamerV3, section "Actor learning").
class ReturnNormalizer {
 public:
  explicit ReturnNormalizer(ReturnNormalizerOptions options = {}) : options_(options) {}

  // Takes in a batch of returns of any shape (quantiles linear between order statistics).
  void Update(const torch::Tensor& returns);

  // () f64, on the device of the returns.
  const torch::Tensor& low() const { return low_; }
  const torch::Tensor& high() const { return high_; }
  torch::Tensor Scale() const;

  formats::TensorMap State() const;  // "low", "high" () f64, "started" () u8
  void LoadState(const formats::TensorMap& state);

 private:
  ReturnNormalizerOptions options_;
  torch::Tensor low_ = torch::zeros({}, torch::kFloat64);
  torch::Tensor high_ = torch::zeros({}, torch::kFloat64);
  bool started_ = false;
};

}  // namespace hidreamer::policy
