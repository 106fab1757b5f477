#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::training {

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

// Steps parameters along their gradients. What it remembers is kept by parameter name, so that it
// can be saved and loaded. A parameter without a gradient is left alone.
class Optimizer {
 public:
  explicit Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {}
  virtual ~Optimizer() = default;

  virtual void Step(double lr) = 0;
  void ZeroGrad();
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  // The memory itself, not a copy of it.
  virtual formats::TensorMap State() const = 0;
  // Throws a user Error where the state is that of other parameters.
  void LoadState(const formats::TensorMap& state);

 protected:
  std::vector<NamedParameter> parameters_;
};

// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), bias-corrected.
class Adam : public Optimizer {
 public:
  Adam(std::vector<NamedParameter> parameters, AdamOptions options);

  void Step(double lr) override { Apply(Begin(lr)); }
  // The same in two parts, for work that is recorded (CapturedGraph): what differs from step to
  // step, (2) f64 on the parameters' device, and the step by it, which on a GPU the host only
  // launches.
  torch::Tensor Begin(double lr);
  void Apply(const torch::Tensor& step);

  formats::TensorMap State() const override;  // "NAME.m", "NAME.v", "step"

 private:
  AdamOptions options_;
  std::vector<torch::Tensor> m_, v_;
  torch::Tensor step_;  // () int64
};

struct MuonOptions {
  double momentum = 0.95;
  double weight_decay = 0.01;
};

// Muon (Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"): Nesterov's
// momentum, each matrix of it replaced by a nearly orthogonal one, so that all its directions move
// alike fast. For weights of hidden layers, (out, …) with at least two dimensions; the dimensions
// after the first are taken as one.
class Muon : public Optimizer {
 public:
  Muon(std::vector<NamedParameter> parameters, MuonOptions options);

  void Step(double lr) override;
  formats::TensorMap State() const override;  // "NAME.momentum"

 private:
  MuonOptions options_;
  std::vector<torch::Tensor> momentum_;
};

// Muon for some of a network's weights and Adam for all others, as one.
class MuonWithAdam {
 public:
  // `matrices` are the tensors of `parameters` themselves that Muon steps; there may be none.
  MuonWithAdam(const std::vector<NamedParameter>& parameters,
               const std::vector<torch::Tensor>& matrices, MuonOptions muon, AdamOptions adam);

  void Step(double matrix_lr, double lr);
  const std::vector<NamedParameter>& parameters() const { return parameters_; }  // of both

  formats::TensorMap State() const;  // "muon.…", "adam.…"
  void LoadState(const formats::TensorMap& state);

 private:
  std::vector<NamedParameter> parameters_;
  Muon muon_;
  Adam adam_;
};

// U V^T for each matrix U S V^T, but with singular values in about [0.7, 1.2] instead of 1: five
// steps of the quintic Newton-Schulz iteration of Jordan et al.
std::vector<torch::Tensor> NearlyOrthogonal(const std::vector<torch::Tensor>& matrices);

// target <- target + share * (source - target), parameter by parameter, without gradient. Both
// modules have the same parameters.
void MoveTowards(torch::nn::Module& target, const torch::nn::Module& source, double share);

// Scales all gradients by max_norm / (norm + 1e-6) if their global L2 norm exceeds max_norm.
// Returns the norm before, () f32.
torch::Tensor ClipGradNorm(const std::vector<NamedParameter>& parameters, double max_norm);

// Half a cosine from `first` at progress 0 down to `last` at 1; clamped outside.
double Cosine(double first, double last, double progress);

// Linear warm-up from 0 to 1 over `warmup` updates, then half a cosine down to final_share at
// update `total`. `update` counts from 0; the first update already has a rate above 0.
double WarmupCosine(int64_t update, int64_t warmup, int64_t total, double final_share);

}  // namespace hidreamer::training
