#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/evaluation/probe.h"
#include "hidreamer/evaluation/ridge.h"

// Dreams under logged actions on held-out windows, beside what really happened.
namespace hidreamer::evaluation {

// The next H steps' codes of the same B windows, true and predicted: (B, H, …, L) int64 each.
struct OpenLoopCodes {
  torch::Tensor truth;
  std::map<std::string, torch::Tensor> predicted;  // "model", "shuffled", "copy", see below
};

// Linear maps from codes to positions in RAM.
struct PositionProbe {
  std::vector<ProbeVariable> variables;
  RidgeModel model;
  std::function<torch::Tensor(const torch::Tensor&)> features;  // codes (N, …, L) -> (N, F)
};
// Positions of ball, paddles, player and ghosts: what a player has to keep an eye on.
std::vector<ProbeVariable> PositionVariables(const data::EpisodeStore& store);

// {"levels", "probe"} as EvaluateOpenLoop's. values (B, H, M) of the probe's variables; a probe
// without variables: {"levels"} alone.
nlohmann::json ScoreOpenLoop(const OpenLoopCodes& codes, const PositionProbe& probe,
                             const torch::Tensor& values);

struct OpenLoopOptions {
  int64_t windows = 256;
  int64_t steps = 50;    // cut to what the model's max_steps leaves after the context
  int64_t context = 16;  // real steps before
  int64_t probe_frames = 20000;
};

// Errors k = 1 … H steps ahead, of greedy dreams:
//   {"game", "windows", "context", "steps",
//    "levels": [{"model", "shuffled", "copy": [H] share of wrong tokens}],
//    "probe": {VARIABLE: {"model", "shuffled", "copy", "floor": [H] mean absolute error of a linear
//    probe on the decoded codes, in RAM units}}}
// shuffled: the same dream under another window's actions; copy: the last real step repeated;
// floor: the probe on the true codes. Needs tokens, quantizer and world model; an empty object
// where no held-out window is long enough.
nlohmann::json EvaluateOpenLoop(const GameArtefacts& game, const OpenLoopOptions& options,
                                const SeedTree& seeds);

// One held-out window drawn with stored frames, the one of 64 with the most changes of L0, dreamed
// with codes drawn from the model: {"game", "context_rows", "truth_rows", "dream_rows", "exact"}.
nlohmann::json DreamPictures(const GameArtefacts& game, int64_t context, int64_t steps,
                             const SeedTree& seeds);

}  // namespace hidreamer::evaluation
