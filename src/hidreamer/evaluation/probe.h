#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/evaluation/ridge.h"

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

// Rows of a recording that probes are fitted or judged on.
struct ProbedRows {
  const data::EpisodeStore* store = nullptr;
  torch::Tensor rows;  // (N) int64
  // (N) bool: the others do not count for a ball's variables, which ask where it is. Undefined: all
  // count.
  torch::Tensor ball_in_play = {};
};

// Linear probes of several sources for the variables of `judged`'s recording that vary.
class Probes {
 public:
  Probes(ProbedRows fitted, ProbedRows judged);

  bool empty() const { return variables_.varying.empty(); }
  // features (N, F) of the fitted rows, and of those that are judged.
  void Fit(const std::string& source, const torch::Tensor& fitted, const torch::Tensor& judged);
  // A source's probe on what was dreamed `step` steps ahead of `rows`.
  void JudgeDreamed(const std::string& source, int64_t step, const torch::Tensor& features,
                    const ProbedRows& rows);
  // {"game", "train_rows", "test_rows", "variables": [{"name", "entropy", "fits": {SOURCE: {"r2",
  // "mae"}}, "imagined": {"1": {"r2", "mae"}, …}}], "left_out", "median_r2": {SOURCE: …}}
  nlohmann::json ToJson() const;

 private:
  // Variables that the same rows count for.
  struct Group {
    std::vector<ProbeVariable> variables;
    bool balls = false;
    torch::Tensor fitted_truth, judged_truth;  // (N, M) f64
    std::map<std::string, RidgeModel> models;  // by source
  };
  static torch::Tensor Counting(const Group& group, const ProbedRows& rows, const torch::Tensor& x);
  static torch::Tensor Truth(const Group& group, const ProbedRows& rows);

  ProbedRows fitted_, judged_;
  ProbeVariables variables_;
  std::vector<Group> groups_;
  struct Quality {
    double r2 = 0, mean_absolute_error = 0;
  };
  void Note(std::map<std::string, std::map<std::string, Quality>>& to, const std::string& of,
            const Group& group, const FitQuality& fit);
  std::map<std::string, std::map<std::string, Quality>> fits_, dreamed_;  // [variable][source]
};

struct ProbeOptions {
  int64_t frames = 20000;  // fitted on, at most; a quarter as many are judged
  int64_t context = 16;    // real steps before a hidden state counts, and before a dream
  int64_t dream_windows = 512;
  std::vector<int64_t> dream_steps = {1, 5, 15};
};

// Of a staged run: as Probes', and "correlation": {"embedding", "untrained", "noise"}; sources that
// need a missing artefact are not there. Empty object where the game has no labels or nothing
// varies.
nlohmann::json ProbeGame(const GameArtefacts& game, const ProbeOptions& options,
                         const SeedTree& seeds);

}  // namespace hidreamer::evaluation
