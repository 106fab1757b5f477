#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/data/windows.h"
#include "hidreamer/tokenizer/tokenized_game.h"
#include "hidreamer/world_model/world_model.h"

// How well a world model predicts recorded tokens with the true past given (teacher forcing),
// beside predictors that need no network. Targets of every level are steps 1 … T-1 of each window,
// so that model and copy-previous are judged on the same ones.
namespace hidreamer::world_model {

// Predictors fitted by counting on the training rows, one table a game and level:
//   unigram: the game's most frequent code;
//   bigram: the most frequent code after (previous code of this level, action taken);
//   successor: like bigram, but never the previous code itself. It knows that the token changes,
//   which no model is told: the hard baseline on changed tokens, where copy-previous scores 0.
class CountingBaselines {
 public:
  // rows: per game, ascending window starts of the training part; transitions inside these windows
  // are counted once each.
  CountingBaselines(const std::vector<tokenizer::TokenizedGame>& games,
                    const std::vector<data::WindowStart>& training_windows, int64_t length,
                    const TokenLayout& layout);

  // previous (B, T-1, L), actions (B, T-1), game (B) int64 -> predicted codes (B, T-1, L) int64.
  torch::Tensor Unigram(const torch::Tensor& previous, const torch::Tensor& game) const;
  torch::Tensor Bigram(const torch::Tensor& previous, const torch::Tensor& actions,
                       const torch::Tensor& game) const;
  torch::Tensor Successor(const torch::Tensor& previous, const torch::Tensor& actions,
                          const torch::Tensor& game) const;

 private:
  torch::Tensor Lookup(const torch::Tensor& table, const torch::Tensor& previous,
                       const torch::Tensor& actions, const torch::Tensor& game) const;

  TokenLayout layout_;
  torch::Tensor unigram_;             // (G, L) int64
  torch::Tensor bigram_, successor_;  // (G, L, A, V) int64
};

struct LevelPrediction {
  int64_t count = 0;            // targets
  int64_t changed_count = 0;    // of them, those that differ from the level's code a step before
  double nll = 0;               // mean negative log-likelihood, nats
  double accuracy = 0;          // share in [0, 1], as all below
  double changed_accuracy = 0;  // on changed targets alone
  double ece = 0;               // expected calibration error of the argmax, 15 bins
  double copy_accuracy = 0;     // predict the previous step's code (0 on changed targets)
  bool baselines = false;       // whether those below were counted
  double unigram_accuracy = 0;
  double unigram_changed_accuracy = 0;
  double bigram_accuracy = 0;
  double bigram_changed_accuracy = 0;
  double successor_changed_accuracy = 0;
};

// An object with the field names above, those of the baselines where they were counted.
void to_json(nlohmann::json& json, const LevelPrediction& level);

// One level's prediction, summed up batch by batch. Any world's: it sees logits alone.
class LevelScore {
 public:
  // logits (..., V), target (...) int64, previous (...) int64: the level's code a step before
  void Add(const torch::Tensor& logits, const torch::Tensor& target, const torch::Tensor& previous);
  // Whether each baseline hit the same targets, (...) bool, and whether these changed.
  void AddBaselines(const torch::Tensor& unigram, const torch::Tensor& bigram,
                    const torch::Tensor& successor, const torch::Tensor& changed);
  LevelPrediction Result() const;

 private:
  static constexpr int64_t kBins = 15;

  double nll_ = 0;
  int64_t count_ = 0, changed_ = 0;
  int64_t correct_ = 0, changed_correct_ = 0, copied_ = 0;
  bool baselines_ = false;
  int64_t unigram_ = 0, unigram_changed_ = 0, bigram_ = 0, bigram_changed_ = 0;
  int64_t successor_changed_ = 0;
  torch::Tensor bin_confidence_ = torch::zeros({kBins}, torch::kFloat64);
  torch::Tensor bin_correct_ = torch::zeros({kBins}, torch::kFloat64);
};

struct PredictionMetrics {
  std::vector<LevelPrediction> levels;
  nlohmann::json ToJson() const;  // {"levels": [{…}, …]}
};

// Runs the model over the windows in evaluation mode, without gradients, and restores its mode.
// baselines may be null: they are not counted. Windows must lie inside their game.
PredictionMetrics EvaluatePrediction(WorldModel model,
                                     const std::vector<tokenizer::TokenizedGame>& games,
                                     const std::vector<data::WindowStart>& windows, int64_t length,
                                     int64_t batch, const CountingBaselines* baselines = nullptr);

}  // namespace hidreamer::world_model
