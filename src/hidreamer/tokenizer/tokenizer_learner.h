#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/config/config.h"
#include "hidreamer/data/windows.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/training/captured_graph.h"
#include "hidreamer/training/learner.h"

namespace hidreamer::tokenizer {

// Embeddings of a game and which of its episodes are trained on.
struct TokenizerGame {
  torch::Tensor embeddings;  // (N, D) f32 on the CPU
  data::EpisodeSplit split;
};

// The same settings for the text's single VQ: one level, commitment cost 0.25.
config::TokenizerConfig SingleVqConfig(config::TokenizerConfig config);

// Fits the codebooks to the embeddings of all games by moving averages; there is no gradient. The
// first update seeds every level by k-means on a sample of the training rows; after each update,
// codes that fell out of use are replaced from the batch. Order of rows, seeds and revivals come
// from streams by epoch and update.
class TokenizerLearner : public training::Learner {
 public:
  // Throws a user Error where there is nothing to train on or a level has no commitment cost.
  TokenizerLearner(std::vector<TokenizerGame> games, const config::TokenizerConfig& config,
                   const SeedTree& seeds, torch::Device device = torch::kCPU,
                   std::string name = "tokenizer");

  std::string name() const override { return name_; }
  int64_t total_updates() const override { return config_.epochs * updates_per_epoch_; }
  int64_t updates_per_epoch() const override { return updates_per_epoch_; }
  // {"loss", "reconstruction_error", "perplexity_0", …, "revived"}; perplexity of this batch's
  // codes (at most its size).
  training::Metrics Update(int64_t update) override;
  formats::TensorMap BatchOf(int64_t update) override;
  // {"validation_loss", "validation_reconstruction_error", "validation_explained",
  //  "perplexity_0", "used_0", …} on the held-out rows (the training rows where none are held out).
  nlohmann::json EndEpoch(int64_t epoch) override;
  formats::TensorMap State() const override;
  void LoadState(const formats::TensorMap& state) override;

  ResidualQuantizer quantizer() const { return quantizer_; }
  std::map<std::string, std::string> Metadata() const {
    return tokenizer::Metadata(quantizer_->options());
  }

 private:
  torch::Tensor Gather(const std::vector<int64_t>& rows, int64_t begin, int64_t end) const;
  torch::Tensor GatherBatch(int64_t update);  // (B, D)
  // An update of a GPU, all of it work that is recorded. inputs: the batch (B, D), an order of its
  // rows for each level's revivals (L, B). Returns loss, reconstruction error, codes revived, each
  // level's perplexity: (3 + L) f32.
  training::CapturedGraph::Tensors ComputeUpdate(const training::CapturedGraph::Tensors& inputs);

  std::vector<TokenizerGame> games_;
  std::vector<int64_t> first_row_;  // of each game in the joint numbering
  config::TokenizerConfig config_;
  SeedTree seeds_;
  torch::Device device_;
  std::string name_;
  std::vector<int64_t> train_rows_, validation_rows_;  // joint numbering
  int64_t batch_ = 0, updates_per_epoch_ = 0;
  std::vector<int64_t> order_;  // training rows in the order of epoch order_epoch_
  int64_t order_epoch_ = -1;
  ResidualQuantizer quantizer_{nullptr};
  training::CapturedGraph update_;
};

}  // namespace hidreamer::tokenizer
