#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/training/learner.h"
#include "hidreamer/training/optimizer.h"
#include "hidreamer/training/process_group.h"
#include "hidreamer/world_model/prediction_metrics.h"
#include "hidreamer/world_model/steps.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {

// Levels and codes of the games' tokens and the largest of their action sets. Throws a user Error
// if the games were tokenized differently.
TokenLayout LayoutOf(const std::vector<tokenizer::TokenizedGame>& games);
WorldModelOptions OptionsFromConfig(const config::WorldModelConfig& config,
                                    const TokenLayout& layout);

// Windows of all games, apart for training and validation. None crosses an episode border.
struct WindowSplit {
  std::vector<data::WindowStart> train;
  std::vector<data::WindowStart> validation;
};
// split.by "episode": whole episodes are held out; "windows": random stride-1 windows, as the
// reference does (almost every validation target is then a training target too).
WindowSplit SplitWindows(const std::vector<tokenizer::TokenizedGame>& games, int64_t length,
                         const config::SplitConfig& split, const SeedTree& seeds);

// Trains one world model on several games. An update sums the gradients of `accumulate` batches; an
// epoch visits every training window once, in an order of its own (or updates_per_epoch of it), so
// batches mix the games in proportion to their windows. AdamW, linear warm-up, cosine, clipping. In
// a group of processes each takes its part of every batch, and gradients are averaged: the same
// updates to rounding, but for dropout, which each draws for itself.
class WorldModelLearner : public training::Learner {
 public:
  // Throws a user Error if no game has a window of config.window steps, or tokens do not fit.
  WorldModelLearner(std::vector<tokenizer::TokenizedGame> games,
                    const config::WorldModelConfig& config, const config::SplitConfig& split,
                    layers::Precision precision, const SeedTree& seeds,
                    torch::Device device = torch::kCPU, training::ProcessGroup* group = nullptr);

  std::string name() const override { return "world_model"; }
  int64_t total_updates() const override { return config_.epochs * updates_per_epoch_; }
  int64_t updates_per_epoch() const override { return updates_per_epoch_; }
  // {"loss", "loss_l0" …, "accuracy_l0" …, "lr", "grad_norm"}
  training::Metrics Update(int64_t update) override;
  // All micro-batches: "tokens" (A, B, T, L), "actions" (A, B, T).
  formats::TensorMap BatchOf(int64_t update) override;
  // {"validation_loss", "nll_l0" …, "accuracy_l0" …, "changed_accuracy_l0" …, "copy_accuracy_l0" …,
  // "ece_l0" …, "windows"}; the loss counts targets of steps 1 … T-1 on every level.
  nlohmann::json EndEpoch(int64_t epoch) override;
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  // The micro-th batch of windows that update trains on.
  Steps DrawBatch(int64_t update, int64_t micro);
  WorldModel model() const { return model_; }
  const std::vector<tokenizer::TokenizedGame>& games() const { return games_; }
  const WindowSplit& split() const { return split_; }

 private:
  std::vector<data::WindowStart> BatchWindows(int64_t update, int64_t micro);
  std::vector<data::WindowStart> ValidationWindows() const;
  // Losses and gradients of an update's batches, tokens (A, B, T, L) and actions (A, B, T) ->
  // (1 + 2 L) f32, means over the batches: loss, then loss and accuracy of each level.
  torch::Tensor ComputeGradients(const torch::Tensor& tokens, const torch::Tensor& actions);
  // Gradients, their means over all processes, clipping and the optimizer's step. inputs: tokens
  // and actions as above, the step (training::Adam::Begin). Returns the numbers above, then the
  // norm of the gradient: (2 + 2 L).
  training::CapturedGraph::Tensors ComputeUpdate(const training::CapturedGraph::Tensors& inputs);

  std::vector<tokenizer::TokenizedGame> games_;
  config::WorldModelConfig config_;
  layers::Precision precision_;
  SeedTree seeds_;
  torch::Device device_;
  training::ProcessGroup* group_;  // null: alone
  WindowSplit split_;
  int64_t updates_per_epoch_;
  WorldModel model_{nullptr};
  std::optional<training::Adam> optimizer_;
  std::optional<training::CapturedGraph> update_;
  int64_t order_epoch_ = -1;    // epoch that order_ belongs to
  std::vector<int64_t> order_;  // indices into split_.train
};

}  // namespace hidreamer::world_model
