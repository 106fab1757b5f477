#include "hidreamer/data/left_out.h"

#include <spdlog/spdlog.h>

namespace hidreamer::data {

LeftOut ShorterThan(const std::vector<EpisodeRange>& episodes, int64_t length) {
  LeftOut left_out;
  for (const EpisodeRange& episode : episodes) {
    if (episode.size() < length) {
      ++left_out.episodes;
      left_out.steps += episode.size();
    }
  }
  return left_out;
}

void NoteLeftOut(const std::string& stage, const std::string& game,
                 const std::vector<EpisodeRange>& episodes, int64_t length) {
  const LeftOut left_out = ShorterThan(episodes, length);
  if (left_out.episodes == 0) {
    return;
  }
  int64_t steps = 0;
  for (const EpisodeRange& episode : episodes) {
    steps += episode.size();
  }
  spdlog::warn(
      "{} leaves out {} of {} episodes of {} ({} of {} steps): they are shorter than {} "
      "steps",
      stage, left_out.episodes, episodes.size(), game, left_out.steps, steps, length);
}

}  // namespace hidreamer::data
