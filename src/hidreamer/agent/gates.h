#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/data/episode_store.h"

// What an online agent's networks know, measured on recordings that they did not learn from:
// probes of the codes, the ball in the decoded picture, one step ahead, open loop, and the dream's
// return beside the real one.
namespace hidreamer::agent {

struct GateOptions {
  int64_t frames = 4000;         // judged one by one
  int64_t probe_frames = 16000;  // that probes are fitted on
  int64_t windows = 512;         // of the open loop
  std::vector<int64_t> horizons = {1, 5, 10, 15};
  double temperature = 1;  // of the codes drawn in dreams under the agent's own actions
  uint64_t seed = 1;
};

// {"probe": {VARIABLE: {"r2", "mae", "r2_of_values"}}, "ball": {…}, "levels": […]}: ridge probes of
// the codes, one-hot and as values, fitted on `fit`, judged on `held_out`, the ball's on frames in
// which it is in play; share of those whose decoded ball is within 2 and 1 px of RAM's; code use.
nlohmann::json MeasureCodes(AgentModels models, const data::EpisodeStore& fit,
                            const data::EpisodeStore& held_out, const GateOptions& options);

// One step ahead with the true codes given: accuracy, on changed codes too, beside copying; NLL;
// "outcomes": precision, recall and F1 of each reward and of ends.
nlohmann::json MeasureOneStep(AgentModels models, const data::EpisodeStore& held_out,
                              const GateOptions& options);

// Dreams under the recorded actions: ball within 2 px and the paddle's error after k steps, beside
// shuffled actions, copying, straight-line extrapolation and the decoder's own limit.
nlohmann::json MeasureOpenLoop(AgentModels models, const data::EpisodeStore& held_out,
                               const GateOptions& options);

// Sums of rewards over the next H steps, dreamed and real, from the same states of a recording in
// which the agent itself played; gains and losses apart too. Errors are standard errors of means,
// those of differences paired by state.
nlohmann::json MeasureDreamReturn(AgentModels models, const data::EpisodeStore& own_play,
                                  int64_t horizon, const GateOptions& options);

// One stretch of a recording as the agent sees it. Step 0 is the last real one of the context.
struct DreamFilm {
  torch::Tensor real;     // (S + 1, 64, 64) f32 in [0, 1]
  torch::Tensor decoded;  // the same through the codes and back
  torch::Tensor dreamed;  // step 0 decoded, then dreamed under the recorded actions
};
// `steps` S dreamed steps after the context that begins at row `start`.
DreamFilm FilmDream(AgentModels models, const data::EpisodeStore& recording, int64_t start,
                    int64_t steps, double temperature, uint64_t seed);
// Starts of `count` windows spread over a recording, each inside one episode and followed by
// `steps` steps of it.
std::vector<int64_t> FilmStarts(AgentModels models, const data::EpisodeStore& recording,
                                int64_t steps, int64_t count);

}  // namespace hidreamer::agent
