#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "hidreamer/nn/tensor_map.h"

namespace hidreamer::nn {

struct NamedParameter {
  std::string name;
  torch::Tensor value;
};

// Trainable parameters in registration order.
std::vector<NamedParameter> NamedParameters(const torch::nn::Module& module,
                                            const std::string& prefix = "");

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool decoupled =
      false;  // true: AdamW (p *= 1 - lr * decay first); false: decay * p is added to the gradient
};

// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), bias-corrected. State is kept
// by parameter name, so that it can be saved and loaded. A parameter without a gradient is left
// alone.
class Adam {
 public:
  Adam(std::vector<NamedParameter> parameters, AdamOptions options);

  void Step(double lr);
  void ZeroGrad();
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  TensorMap State() const;  // "NAME.m", "NAME.v", "step"
  void LoadState(const TensorMap& state);

 private:
  std::vector<NamedParameter> parameters_;
  AdamOptions options_;
  std::vector<torch::Tensor> m_, v_;
  int64_t step_ = 0;
};

// Scales all gradients by max_norm / (norm + 1e-6) if their global L2 norm exceeds max_norm.
// Returns the norm before, () f32.
torch::Tensor ClipGradNorm(const std::vector<NamedParameter>& parameters, double max_norm);

// Half a cosine from `first` at progress 0 down to `last` at 1; clamped outside.
double Cosine(double first, double last, double progress);

// Linear warm-up from 0 to 1 over `warmup` updates, then half a cosine down to final_share at
// update `total`. `update` counts from 0; the first update already has a rate above 0.
double WarmupCosine(int64_t update, int64_t warmup, int64_t total, double final_share);

}  // namespace hidreamer::nn
