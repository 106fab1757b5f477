#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/evaluation/play.h"
#include "hidreamer/imagination/agent.h"

// What an agent of either kind of run is judged by.
namespace hidreamer::evaluation {

// Its scores, at policy::kScoringTemperature, beside those of random play in the same games, as
// ToJson(PlayResult) has them.
nlohmann::json MeasurePlay(std::shared_ptr<imagination::Agent> agent,
                           const EnvironmentFactory& factory, const PlayOptions& options);

struct DreamReturnOptions {
  int64_t starts = 512;
  int64_t horizon = 15;    // H
  double temperature = 1;  // of the codes
  uint64_t seed = 1;
};

// What an agent dreams to win in the next H steps, and what it won, from the same states of a
// recording in which it played itself: {"game", "horizon"} and policy::ReturnComparison's. An empty
// object where no episode is long enough.
nlohmann::json MeasureDreamReturn(imagination::Agent& agent, const data::EpisodeStore& own_play,
                                  const DreamReturnOptions& options);

}  // namespace hidreamer::evaluation
