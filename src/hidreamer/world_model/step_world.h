#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "hidreamer/layers/packed_transformer.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/world_model/world.h"

namespace hidreamer::world_model {

// World model with one transformer position per time step.
//   grids of t, t-1, … --> local path (convolutions) --> token --> transformer --> hidden h_t
//   (h_t, local_t, a_t) --> convolutions --> places --> depth head, level by level, coarse to fine
//                       --> reward, continue
// Motion is in the newest grids, everything longer in the transformer.
class StepWorld : public World {
 public:
  explicit StepWorld(const WorldOptions& options);

  // States of the codes: the quantized grid and a projection of the local features.
  int64_t codes_width() const override;
  int64_t hidden_width() const override { return options().width; }
  States Observe(const Steps& steps) override;
  Prediction Predict(const Steps& steps, int64_t from) override;
  std::unique_ptr<Rollout> Begin(const Steps& context, int64_t room, ValuesOfCodes values) override;
  // Those between a place's codes and its next ones: few and small, and what the ball depends on.
  std::vector<torch::Tensor> MuonMatrices() const override;

  // Logits of every level under teacher forcing: places (N, K, G, G), codes (N, P, L) int64 -> L of
  // (N, P, V_l) f32.
  std::vector<torch::Tensor> Logits(const torch::Tensor& places, const torch::Tensor& codes);
  // The next grid, level by level: places (N, K, G, G), the codes of now (N, P, L) -> codes (N, P,
  // L) int64. temperature 0: the likeliest code; else drawn with `uniforms` (N, P, L) in [0, 1).
  torch::Tensor Sample(const torch::Tensor& places, const torch::Tensor& now, double temperature,
                       const torch::Tensor& uniforms = {});

 private:
  friend class StepRollout;

  // What is known at a step, before its action is chosen.
  struct Reading {
    torch::Tensor local;    // (B T, K, G, G) local features of the newest grids
    torch::Tensor summary;  // (B T, 8 P) of them, for the transformer and the actor
    torch::Tensor hidden;   // (B, T, D)
  };
  // `projections`, where given, receives each block's queries, keys and values (B, T, 3 D).
  Reading Read(const Steps& steps, std::vector<torch::Tensor>* projections = nullptr);
  // What follows it.
  struct Next {
    torch::Tensor places;  // (N, K, G, G) features that the depth head reads
    Outcomes outcomes;     // (N, …)
  };
  // hidden (N, D), local (N, K, G, G), actions (N) int64.
  Next AfterAction(const torch::Tensor& hidden, const torch::Tensor& local,
                   const torch::Tensor& actions);
  // Local features of the newest grids, each (N, C, G, G), newest first -> (N, K, G, G).
  torch::Tensor Local(const std::vector<torch::Tensor>& grids);
  // The grids that the local path reads at each step, each (B, T, C, G, G), newest first. Where an
  // episode or the window has none, its first one again, as if nothing moved.
  std::vector<torch::Tensor> NewestGrids(const Steps& steps) const;
  layers::TransformerParts transformer() const;
  // x (B, T, D), tokens -> hidden states (B, T, D), f32. firsts (B, T) as in Steps.
  torch::Tensor Transform(torch::Tensor x, const torch::Tensor& firsts,
                          std::vector<torch::Tensor>* projections);
  int64_t local_frames() const { return options().local_path ? options().local_frames : 1; }
  torch::Tensor Summary(const torch::Tensor& local);  // (N, K, G, G) -> (N, 8 P)
  // What the transformer reads: summary (N, 8 P); actions, positions (N) int64, firsts (N) -> (N,
  // D).
  torch::Tensor Tokens(const torch::Tensor& summary, const torch::Tensor& actions,
                       const torch::Tensor& firsts, const torch::Tensor& positions);
  torch::Tensor Rows(const torch::Tensor& places) const;  // (N, K, G, G) -> (N, P, K)
  // (N, P, V) of one level, given the codes (N, P) of the coarser ones.
  torch::Tensor LevelLogits(int64_t level, const torch::Tensor& rows,
                            const std::vector<torch::Tensor>& coarser);

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
  std::shared_ptr<layers::VersionedCache<layers::PackedTransformer>> packed_ =
      std::make_shared<layers::VersionedCache<layers::PackedTransformer>>();
};

}  // namespace hidreamer::world_model
