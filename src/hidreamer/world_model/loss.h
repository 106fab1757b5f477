#pragma once

#include <torch/torch.h>

#include <vector>

namespace hidreamer::world_model {

struct HierarchicalLoss {
  torch::Tensor total;                 // () f32, sum over levels of weight * level loss
  std::vector<torch::Tensor> levels;   // L x () f32, mean cross-entropy in nats
  std::vector<torch::Tensor> correct;  // L x () int64, argmax hits among the targets
  std::vector<torch::Tensor> targets;  // L x () int64, number of targets
};

// Weighted sum of one cross-entropy a level, always in f32.
//   logits: L x (B, T, V) as WorldModelOutput's; tokens (B, T, L) int64; weights: L numbers
//   valid: (B, T) bool, false rows (padding) are no targets and predict none; undefined: all valid
// L0 targets are steps 1 … T-1 (predicted at the ACTION before), those of finer levels all steps.
HierarchicalLoss ComputeLoss(const std::vector<torch::Tensor>& logits, const torch::Tensor& tokens,
                             const std::vector<double>& weights, const torch::Tensor& valid = {});

}  // namespace hidreamer::world_model
