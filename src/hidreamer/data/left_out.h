#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/data/episode_store.h"

namespace hidreamer::data {

// Episodes shorter than a window of `length` steps, none of which lies in any window.
struct LeftOut {
  int64_t episodes = 0;
  int64_t steps = 0;
};
LeftOut ShorterThan(const std::vector<EpisodeRange>& episodes, int64_t length);

// Says so where there are any: "world_model leaves out 40 of 43 episodes of catch (240 of 840
// steps): they are shorter than 64 steps".
void NoteLeftOut(const std::string& stage, const std::string& game,
                 const std::vector<EpisodeRange>& episodes, int64_t length);

}  // namespace hidreamer::data
