#pragma once

#include <memory>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/replay_reader.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/imagination/windows.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/policy/ac_cpc.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/training/metrics.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::agent {

// Trains tokenizer and world model on windows of the replay. The tokenizer learns to draw the
// frames; the world model predicts its codes, reward and end. No gradient passes between the two,
// so that codes do not collapse into what is easy to predict. The world model of `models`, which
// dreams and plays, is a moving average of the one that learns.
class ModelLearner {
 public:
  ModelLearner(AgentModels models, const config::Config& config, const SeedTree& seeds,
               layers::Precision precision, torch::Device device);

  // Background and codebooks from the first frames.
  void Start(const ReplayReader& reader);
  // One update of the tokenizer alone.
  void UpdateTokenizer(const ReplayReader& reader, int64_t update);
  // One update of the tokenizer, then the world model's steps on the minibatches of one batch of
  // windows. The learning rates have fallen to their last value at update `total`.
  training::Metrics Update(const ReplayReader& reader, int64_t update, int64_t total);
  // The same without the tokenizer.
  training::Metrics UpdateWorldModel(const ReplayReader& reader, int64_t update, int64_t total);
  // The windows of an update, while the replay is as it was: frames (B T, 1, 64, 64), others (B,
  // T).
  formats::TensorMap BatchOf(const ReplayReader& reader, int64_t update) const;

  formats::TensorMap State() const;  // the learning world model, optimizers, the contrastive head
  void LoadState(const formats::TensorMap& state);

 private:
  // Frames (N, 1, 64, 64) and those before them -> losses of drawing and of stillness; backward.
  training::CapturedGraph::Tensors TokenizerGradients(const torch::Tensor& frames,
                                                      const torch::Tensor& previous);
  // Windows -> numbers for the log, as kModelMetrics names them, then the contrastive loss if there
  // is one; backward.
  torch::Tensor WorldModelGradients(const world_model::Steps& steps);
  std::vector<data::WindowStart> DrawWindows(const ReplayReader& reader, Rng& rng) const;
  int64_t TokenizerUpdates(int64_t total) const;  // the tokenizer's of the run's
  int64_t MinibatchSize() const;  // windows of an optimizer step, but perhaps of the last
  training::Metrics UpdateParts(const ReplayReader& reader, int64_t update, int64_t total,
                                bool with_tokenizer);
  // The loss of one batch of frames and those before them, backward and step.
  void StepTokenizer(const torch::Tensor& frames, const torch::Tensor& previous, int64_t update,
                     double lr, training::Metrics& metrics);
  // The loss of some windows, backward and step; `share` of the full learning rates.
  void StepWorldModel(const world_model::Steps& steps, double share, training::Metrics& metrics);

  AgentModels models_;
  config::Config config_;
  SeedTree seeds_;
  layers::Precision precision_;
  torch::Device device_;
  std::shared_ptr<world_model::World> learning_;
  policy::AcCpc cpc_{nullptr};
  std::unique_ptr<training::Adam> tokenizer_optimizer_;
  std::unique_ptr<training::MuonWithAdam> model_optimizer_;  // of the contrastive head too
  std::unique_ptr<training::CapturedGraph> tokenizer_gradients_, model_gradients_;
};

}  // namespace hidreamer::agent
