#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/evaluation/game_artefacts.h"

// Linear probes: how much of the game's own state, read from RAM, a ridge regression finds in the
// embedding, the quantized code vector, the transformer's hidden state and the imagined one, beside
// an untrained encoder and the principal components of the pixels.
namespace hidreamer::evaluation {

struct ProbeVariable {
  std::string name;
  int byte = 0;
  double entropy = 0;  // nats, of the byte's values in the recording
};
struct ProbeVariables {
  std::vector<ProbeVariable> varying;
  std::vector<ProbeVariable> left_out;  // entropy below kMinEntropy (AtariARI's threshold)
};
constexpr double kMinEntropy = 0.6;
ProbeVariables ChooseVariables(const data::EpisodeStore& store);

// The variables' values at rows (…), (…, M) f64.
torch::Tensor VariableValues(const data::EpisodeStore& store,
                             const std::vector<ProbeVariable>& variables,
                             const torch::Tensor& rows);

// Hidden states at the L code positions of the steps from `first` on, side by side:
// rows (B, T) -> (B, T - first, L*D).
torch::Tensor HiddenStates(const GameArtefacts& game, const torch::Tensor& rows, int64_t first);

struct ProbeOptions {
  int64_t frames = 20000;  // fitted on, at most; a quarter as many are judged
  int64_t context = 16;    // real steps before a hidden state counts, and before a dream
  int64_t dream_windows = 512;
  std::vector<int64_t> dream_steps = {1, 5, 15};
};

// {"game", "train_rows", "test_rows", "variables": [{"name", "entropy", "fits": {SOURCE: {"r2",
// "mae"}}, "imagined": {"1": {"r2", "mae"}, …}}], "left_out", "median_r2": {SOURCE: …},
// "correlation": {"embedding", "untrained", "noise"}}; sources that need a missing artefact are not
// there. Empty object where the game has no labels or nothing varies.
nlohmann::json ProbeGame(const GameArtefacts& game, const ProbeOptions& options,
                         const SeedTree& seeds);

}  // namespace hidreamer::evaluation
