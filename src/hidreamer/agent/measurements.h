#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/data/episode_store.h"

// What an online agent's networks know, measured on recordings that they did not learn from. Each
// is a part of an evaluation, in the format that the report shows for every kind of run.
namespace hidreamer::agent {

struct MeasureOptions {
  int64_t frames = 4000;         // judged one by one
  int64_t probe_frames = 16000;  // that probes are fitted on
  int64_t windows = 512;         // of the open loop
  int64_t steps = 15;            // dreamed
  double temperature = 1;        // of the codes drawn in dreams under the agent's own actions
  uint64_t seed = 1;
};

// "codes": {"levels": [{"all", "games": [{"game", …}]}], "squared_error"}: how the codes are used,
// as tokenizer::LevelTokenMetrics', and the decoded picture's mean squared error.
nlohmann::json MeasureCodes(AgentModels models, const data::EpisodeStore& held_out,
                            const MeasureOptions& options);

// "probe_GAME", as evaluation::Probes': ridge probes of RAM's variables, of the codes one-hot
// ("codes") and as values ("values"). A ball's are of frames in which it is in play.
nlohmann::json ProbeCodes(AgentModels models, const data::EpisodeStore& fit,
                          const data::EpisodeStore& held_out, const MeasureOptions& options);

// One step ahead with the true codes given. "prediction": {"levels": [{…}], "windows", "length",
// "split"} with the fields of world_model::LevelPrediction; "outcomes": as imagination::ToJson's of
// rewards and ends.
struct OneStep {
  nlohmann::json prediction, outcomes;
};
OneStep MeasureOneStep(AgentModels models, const data::EpisodeStore& held_out,
                       const MeasureOptions& options);

// "open_loop_GAME", as evaluation::MeasureOpenLoop's. Positions are read by probes that are fitted
// on `fit`.
nlohmann::json MeasureOpenLoop(AgentModels models, const data::EpisodeStore& fit,
                               const data::EpisodeStore& held_out, const MeasureOptions& options);

// Pong alone: where ball and paddle are in pictures drawn from codes, against RAM. {"frames",
// "within_2px", "within_1px", "within_2px_in_the_true_picture", "dreamed": [{"k", "windows",
// "ball_within_2px", "ball_straight_line", …, "paddle_error_px", "paddle_error_shuffled_px", …}]}
nlohmann::json MeasurePongSight(AgentModels models, const data::EpisodeStore& held_out,
                                const MeasureOptions& options);

}  // namespace hidreamer::agent
