#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/imagination/agent.h"

namespace hidreamer::evaluation {

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
