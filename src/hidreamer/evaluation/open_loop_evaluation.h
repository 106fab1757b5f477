#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/evaluation/game_artefacts.h"
#include "hidreamer/world_model/world.h"

// Dreams under the recorded actions on held-out windows, beside what really happened.
namespace hidreamer::evaluation {

// A world model of either kind of run, as it is judged.
struct JudgedWorld {
  std::shared_ptr<world_model::World> world;
  world_model::ValuesOfCodes values;
  std::function<torch::Tensor(const torch::Tensor&)> features;  // codes (N, P, L) -> (N, F)
};
// Episodes of a recording, as the world's tokenizer sees them.
struct JudgedEpisodes {
  const data::EpisodeStore* store = nullptr;
  std::vector<data::EpisodeRange> ranges;
  // Rows start, start + 1, … for each start: windows inside `ranges`.
  std::function<world_model::Steps(const std::vector<int64_t>& starts, int64_t length)> read;
};
// A staged run's. `context`: real steps before a dream.
JudgedWorld WorldOf(const GameArtefacts& game, int64_t context);
JudgedEpisodes EpisodesOf(const GameArtefacts& game, const std::vector<data::EpisodeRange>& ranges);

// The likeliest codes of `steps` steps after each window's first options().context, and the hidden
// states of these steps, under the window's own actions or, shuffled, under another window's.
world_model::OpenLoop DreamUnderRecordedActions(const JudgedWorld& judged,
                                                const world_model::Steps& windows, int64_t steps,
                                                bool shuffled = false);

struct OpenLoopOptions {
  int64_t windows = 256;
  int64_t steps = 50;  // cut to what the world's longest sequence leaves after the context
  int64_t probe_frames = 20000;
};

// Errors k = 1 … H steps ahead, of dreams of the likeliest codes:
//   {"game", "windows", "context", "steps",
//    "levels": [{"model", "shuffled", "copy": [H] share of wrong codes}],
//    "probe": {VARIABLE: {"model", "shuffled", "copy", "floor": [H] mean absolute error of a linear
//    probe on the codes' features, in RAM units}}}
// shuffled: the same dream under another window's actions; copy: the last real step repeated;
// floor: the probe on the true codes. Variables are positions of ball, paddles, player and ghosts;
// probes are fitted on `fit`. An empty object where no held-out window is long enough.
nlohmann::json MeasureOpenLoop(const JudgedWorld& judged, const JudgedEpisodes& fit,
                               const JudgedEpisodes& held_out, const OpenLoopOptions& options);

// One held-out window drawn with stored frames, the one of 64 with the most changes of L0, dreamed
// with codes drawn from the model: {"game", "context_rows", "truth_rows", "dream_rows", "exact"}.
nlohmann::json DreamPictures(const GameArtefacts& game, int64_t context, int64_t steps,
                             const SeedTree& seeds);

}  // namespace hidreamer::evaluation
