#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/layers/packed_transformer.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/world_model/token_layout.h"

namespace hidreamer::world_model {

struct StepModelOptions {
  TokenLayout layout;          // places, levels, level_codes, actions
  int64_t value_channels = 3;  // C, of the quantised grid
  int64_t channels = 32;       // of the local path
  int64_t local_blocks = 2;    // residual blocks before the transformer, and after the action
  bool local_path = true;      // false: the transformer alone foretells every place
  int64_t local_frames = 4;    // newest grids that the local path reads: motion, finer than a code
  bool depth_head = true;      // false: all levels of a place at once, independent of each other
  // What codes that differ from the step before weighed in the loss: they seem so much likelier
  // than they are, which draws take back. 1: draws are as the logits say.
  double changed_weight = 1;
  int64_t width = 256;  // D
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t context = 8;     // steps seen when acting and before a dream
  int64_t max_steps = 24;  // longest sequence
  int64_t reward_bins = 255;

  // What a file of an older version does not name is as it was then: the default.
  NLOHMANN_DEFINE_TYPE_INTRUSIVE_WITH_DEFAULT(StepModelOptions, layout, value_channels, channels,
                                              local_blocks, local_path, local_frames, depth_head,
                                              changed_weight, width, layers, heads, context,
                                              max_steps, reward_bins)
};

// A sequence of steps as the model reads it.
struct StepInputs {
  torch::Tensor values;            // (B, T, C, G, G) quantised grids
  torch::Tensor previous_actions;  // (B, T) int64, what led to each step; anything where `first`
  torch::Tensor first;             // (B, T) bool, begins an episode: nothing before it is seen
};

// What the model knows at a step, before the step's action is chosen.
struct StepStates {
  torch::Tensor hidden;  // (B, T, D) transformer output
  torch::Tensor local;   // (B, T, K, G, G) local features of the newest grids
};

// What it foretells once the action is known.
struct StepOutcome {
  torch::Tensor places;     // (N, K, G, G) features that the depth head reads
  torch::Tensor reward;     // (N, bins) logits
  torch::Tensor continues;  // (N) logits
};

// World model with one transformer position per time step.
//   grids of t, t-1, … --> local path (convolutions) --> token --> transformer --> hidden h_t
//   (h_t, local_t, a_t) --> convolutions --> places --> depth head, level by level, coarse to fine
//                       --> reward, continue
// Motion is in the newest grids, everything longer in the transformer.
class StepModelImpl : public torch::nn::Module {
 public:
  explicit StepModelImpl(const StepModelOptions& options);
  const StepModelOptions& options() const { return options_; }

  // `projections`, where given, receives each block's queries, keys and values (B, T, 3 D).
  StepStates Observe(const StepInputs& inputs, std::vector<torch::Tensor>* projections = nullptr);
  // hidden (N, D), local (N, K, G, G), actions (N) int64.
  StepOutcome Foretell(const torch::Tensor& hidden, const torch::Tensor& local,
                       const torch::Tensor& actions);
  // Logits of every level under teacher forcing: places (N, K, G, G), codes (N, P, L) int64 -> L of
  // (N, P, V_l) f32.
  std::vector<torch::Tensor> Logits(const torch::Tensor& places, const torch::Tensor& codes);
  // The next grid, level by level: places (N, K, G, G), the codes of now (N, P, L) -> codes (N, P,
  // L) int64. temperature 0: the likeliest code; else drawn with `uniforms` (N, P, L) in [0, 1).
  torch::Tensor Sample(const torch::Tensor& places, const torch::Tensor& now, double temperature,
                       const torch::Tensor& uniforms = {});

  // What an actor sees of a state: hidden, quantised values and a projection of the local features.
  //   values (N, C, G, G), hidden (N, D), local (N, K, G, G) -> (N, feature_width())
  torch::Tensor Features(const torch::Tensor& values, const torch::Tensor& hidden,
                         const torch::Tensor& local);
  int64_t feature_width() const;
  // The weights of the hidden layers between a place's codes and its next ones: few and small, and
  // what the ball depends on.
  std::vector<torch::Tensor> LocalMatrices() const;

 private:
  friend class StepDecoder;

  // Local features of the newest grids, each (N, C, G, G), newest first -> (N, K, G, G).
  torch::Tensor Local(const std::vector<torch::Tensor>& grids);
  // The grids that the local path reads at each step, each (B, T, C, G, G), newest first. Where an
  // episode or the window has none, its first one again, as if nothing moved.
  std::vector<torch::Tensor> NewestGrids(const StepInputs& inputs) const;
  layers::TransformerParts transformer() const;
  // x (B, T, D), tokens -> hidden states (B, T, D), f32. first (B, T) as in StepInputs.
  torch::Tensor Transform(torch::Tensor x, const torch::Tensor& first,
                          std::vector<torch::Tensor>* projections);
  int64_t local_frames() const { return options_.local_path ? options_.local_frames : 1; }
  torch::Tensor GridFeatures(const torch::Tensor& local);  // (N, K, G, G) -> (N, 8 P)
  // What the transformer reads: local (N, K, G, G); actions, steps (N) int64, first (N) -> (N, D).
  torch::Tensor Tokens(const torch::Tensor& local, const torch::Tensor& actions,
                       const torch::Tensor& first, const torch::Tensor& steps);
  torch::Tensor Rows(const torch::Tensor& places) const;  // (N, K, G, G) -> (N, P, K)
  // (N, P, V) of one level, given the codes (N, P) of the coarser ones.
  torch::Tensor LevelLogits(int64_t level, const torch::Tensor& rows,
                            const std::vector<torch::Tensor>& coarser);

  StepModelOptions options_;
  int64_t grid_ = 0;  // G
  torch::Tensor place_embedding_;
  torch::nn::Conv2d local_in_{nullptr}, to_token_{nullptr}, outcome_grid_{nullptr};
  std::vector<torch::nn::Conv2d> local_, after_;
  torch::nn::Embedding action_embedding_{nullptr}, step_embedding_{nullptr},
      chosen_action_{nullptr};
  torch::nn::Linear token_{nullptr}, to_places_{nullptr}, wide_places_{nullptr};
  torch::nn::Linear outcome_{nullptr}, reward_{nullptr}, continue_{nullptr};
  std::vector<layers::TransformerBlock> blocks_;
  std::vector<torch::nn::Linear> depth_in_, depth_out_;
  std::vector<std::vector<torch::nn::Embedding>> depth_coarser_;
  torch::nn::LayerNorm norm_{nullptr};
  layers::MadeFrom<layers::PackedTransformer> packed_;
};
TORCH_MODULE(StepModel);

// Runs a step model one step at a time for a batch of dreams, keeping keys and values. Builds no
// graph.
class StepDecoder {
 public:
  // Reads the real steps before the dreams; room for `steps` more.
  StepDecoder(StepModel model, const StepInputs& context, int64_t steps);

  // The state at the last step read: hidden (B, D), local (B, K, G, G).
  const torch::Tensor& hidden() const { return hidden_; }
  const torch::Tensor& local() const { return local_; }
  // Takes in the next step: values (B, C, G, G), and the action (B) that led to it.
  void Push(const torch::Tensor& values, const torch::Tensor& actions);

 private:
  torch::Tensor PushThroughModules(torch::Tensor x);  // (B, D) -> hidden (B, D)

  StepModel model_;
  int64_t position_, places_;         // the next one, and how many there is room for
  std::vector<torch::Tensor> grids_;  // newest first, (B, C, G, G)
  torch::Tensor hidden_, local_;
  // Where the transformer is packed:
  std::shared_ptr<const layers::PackedTransformer> packed_;
  std::optional<layers::DecodeCache> kernel_cache_;
  std::vector<int64_t> begins_;  // the first step of each dream's own episode
  // Else:
  torch::Tensor visible_;  // (B, 1, 1, S) bool, kept steps of the dream's own episode
  std::vector<torch::Tensor> keys_, values_cache_;  // of each layer (B, heads, S, d)
};

}  // namespace hidreamer::world_model
