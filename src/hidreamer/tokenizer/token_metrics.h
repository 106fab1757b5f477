#pragma once

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/tokenizer/residual_quantizer.h"
#include "hidreamer/tokenizer/tokenized_game.h"

namespace hidreamer::tokenizer {

// exp of the entropy of a code's distribution: the number of codes effectively in use.
// counts (V), any numeric type.
double Perplexity(const torch::Tensor& counts);
// How often each of `size` codes occurs in codes (N) i64: (size), on the host.
torch::Tensor CountCodes(const torch::Tensor& codes, int64_t size);

// Pairs of consecutive steps, and how many of them have equal tokens.
struct Persistence {
  int64_t pairs = 0;
  int64_t equal = 0;
};

// How the codes of one level are used.
struct LevelTokenMetrics {
  std::vector<int64_t> counts;  // (V)
  int64_t used = 0;             // codes that occur
  int64_t dead = 0;             // codes that do not
  double perplexity = 0;        // at most V
  // Share of tokens equal to the previous step's of the same episode.
  double smoothness = 0;
  // Share expected of two independent draws from the same distribution: what a shuffled recording
  // shows.
  double chance_smoothness = 0;
};
void to_json(nlohmann::json& json, const LevelTokenMetrics& metrics);
LevelTokenMetrics MeasureUse(const torch::Tensor& counts, const Persistence& persistence);  // (V)

// One entry a level; over several games: all their tokens as one set.
std::vector<LevelTokenMetrics> MeasureTokens(const std::vector<const TokenizedGame*>& games);

struct ReconstructionMetrics {
  // After levels 0..l: mean over rows of |z - sum of codewords|^2, and the share of the variance of
  // z explained (1: exact; 0: no better than the mean). One entry a level.
  std::vector<double> squared_error;
  std::vector<double> explained;
};
void to_json(nlohmann::json& json, const ReconstructionMetrics& metrics);

// embeddings (N, D), codes (N, L) of them.
ReconstructionMetrics MeasureReconstruction(ResidualQuantizer quantizer,
                                            const torch::Tensor& embeddings,
                                            const torch::Tensor& codes);

// How a level's codes are shared between games.
struct LevelSharing {
  std::vector<int64_t> used_by;  // [g]: codes that occur in exactly g games, g = 0..G
  // I(code; game) in bits; at most game_entropy.
  double mutual_information = 0;
  // The same after the games of all rows were shuffled: what finite data alone would give.
  double shuffled_mutual_information = 0;
  double game_entropy = 0;  // bits
};
void to_json(nlohmann::json& json, const LevelSharing& sharing);

// One entry a level. A code counts as used by a game where it makes up at least `min_share` of its
// tokens.
std::vector<LevelSharing> MeasureSharing(const std::vector<const TokenizedGame*>& games,
                                         const SeedTree& seeds, double min_share = 1e-4);

}  // namespace hidreamer::tokenizer
