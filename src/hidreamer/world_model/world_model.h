#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/layers/packed_linear.h"
#include "hidreamer/layers/packed_transformer.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/world_model/mask.h"
#include "hidreamer/world_model/token_layout.h"

// The world model: a transformer over interleaved code and action positions that predicts the next
// frame's codes, coarse to fine.
//   tokens (B, T, S), actions (B, T)
//     --> [embedding: code or action + level + position] --> (B, T*K, D)
//     --> [blocks, masked by AttentionMask] --> [final LayerNorm] --> hidden (B, T*K, D)
//     --> heads: ACTION of t -> L0 of t+1;  L0 of t -> L1 of t;  L1 of t -> L2 of t; …
// B batch, T steps, L levels, S code slots (S = L in the text's system, which has one place; else
// see TokenLayout), K = S + 1 positions a step, D width, V codes of a level.
namespace hidreamer::world_model {

struct WorldModelOptions {
  TokenLayout layout;
  int64_t width = 384;
  int64_t layers = 6;
  int64_t heads = 6;
  int64_t ffn_width = 1536;
  double dropout = 0.1;
  int64_t max_steps = 64;  // longest sequence; sets the size of the position table
  MaskKind mask = MaskKind::kReference;

  bool operator==(const WorldModelOptions&) const = default;
};

nlohmann::json ToJson(const WorldModelOptions& options);
// Throws a user Error if a key is missing or of another type.
WorldModelOptions WorldModelOptionsFromJson(const nlohmann::json& json);

// Sum of the tables' rows for each position.
// State names: token_embeds.LEVEL, action_embed, level_embed (rows of the slots), pos_embed.
class TokenEmbeddingImpl : public torch::nn::Module {
 public:
  explicit TokenEmbeddingImpl(const WorldModelOptions& options);

  // tokens (B, T, S), actions (B, T) or (B, T-1); all int64 -> (B, P, D) with P = T*K or T*K - 1.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& actions);
  // One position: values (B) int64, codes or, for the action slot, actions -> (B, D).
  torch::Tensor EmbedPosition(const torch::Tensor& values, int64_t slot, int64_t position);

 private:
  torch::nn::EmbeddingImpl* table_of(int64_t slot);  // of a code's slot

  TokenLayout layout_;
  torch::nn::ModuleList token_embeds_{nullptr};
  torch::nn::Embedding action_embed_{nullptr}, level_embed_{nullptr}, pos_embed_{nullptr};
};
TORCH_MODULE(TokenEmbedding);

struct WorldModelOutput {
  torch::Tensor hidden;               // (B, T*K, D) after the final LayerNorm
  std::vector<torch::Tensor> logits;  // S x (B, T, V): [0] at ACTION of t predicts slot 0 of t+1;
                                      // [s] at slot s-1 of t predicts slot s of t
};

class WorldModelImpl : public torch::nn::Module {
 public:
  explicit WorldModelImpl(const WorldModelOptions& options);

  const WorldModelOptions& options() const { return options_; }

  // tokens (B, T, S) int64, actions (B, T) int64, T <= max_steps.
  WorldModelOutput forward(const torch::Tensor& tokens, const torch::Tensor& actions);
  // The logits alone. The last position of a step but the action's predicts nothing: the last
  // block's second half is not computed there.
  std::vector<torch::Tensor> Predict(const torch::Tensor& tokens, const torch::Tensor& actions);
  // hidden alone (B, P - from, D), of the positions from `from` on. actions may be (B, T-1): the
  // last step is then open, and P = T*K - 1. Where `qkv` is given it receives each block's
  // attention projection, layers x (B, P, 3 D), in the last block possibly without the queries
  // before `from`.
  torch::Tensor Hidden(const torch::Tensor& tokens, const torch::Tensor& actions,
                       std::vector<torch::Tensor>* qkv = nullptr, int64_t from = 0);
  // The head of a level: hidden (..., D) at the position that predicts it -> (..., V).
  torch::Tensor Logits(int64_t level, const torch::Tensor& hidden);
  // The slot whose hidden state predicts `slot`: ACTION for slot 0 (of the next step), else slot -
  // 1 (of the same step).
  int64_t PredictingSlot(int64_t slot) const {
    return slot == 0 ? options_.layout.action_slot() : slot - 1;
  }

  // Parts, for the decoder.
  TokenEmbedding embedding() const { return embedding_; }
  layers::TransformerBlock block(int64_t layer) const;
  torch::nn::LayerNorm final_norm() const { return ln_final_; }
  layers::TransformerParts transformer() const;
  // Of the given length; kept, for recorded graphs read it (training::CapturedGraph). Several
  // threads may ask for it.
  const layers::AttentionPattern& Pattern(int64_t positions, torch::Device device);

 private:
  // x (B, P, D) behind the last block; qkv as in Hidden, choose as TransformerBlock's, for the
  // last.
  torch::Tensor RunBlocks(const torch::Tensor& tokens, const torch::Tensor& actions,
                          std::vector<torch::Tensor>* qkv,
                          const std::function<torch::Tensor(const torch::Tensor&)>& choose);
  bool UsesPacked();  // computes hidden states by the packed transformer as things stand

  WorldModelOptions options_;
  TokenEmbedding embedding_{nullptr};
  torch::nn::ModuleList blocks_{nullptr};
  torch::nn::LayerNorm ln_final_{nullptr};
  std::vector<layers::PackedLinear> heads_;  // registered as headl0, headl1, …
  std::shared_ptr<layers::VersionedCache<layers::PackedTransformer>> packed_ =
      std::make_shared<layers::VersionedCache<layers::PackedTransformer>>();
  std::mutex patterns_mutex_;
  std::map<int64_t, layers::AttentionPattern> patterns_;  // by length, of the last device
};
TORCH_MODULE(WorldModel);

// What a saved model's metadata holds: {"kind": "world_model", "options": JSON text}.
std::map<std::string, std::string> WorldModelMetadata(const WorldModelOptions& options);
void SaveWorldModel(const std::filesystem::path& path, const WorldModel& model);
// In evaluation mode. Throws a user Error if the file is missing, malformed or of another kind.
WorldModel LoadWorldModel(const std::filesystem::path& path);

}  // namespace hidreamer::world_model
