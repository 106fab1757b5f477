#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/data/episode_store.h"

namespace hidreamer::data {

// Where a window begins: in which of several games or streams, and at which of its rows.
struct WindowStart {
  int64_t source = 0;
  int64_t row = 0;
  bool operator==(const WindowStart&) const = default;
};

// Starts s, ascending, of windows [s, s + length) that stay inside the data and have no end flag
// before their last row. Found by a cumulative sum of the flags, O(N).
std::vector<int64_t> ValidWindowStarts(std::span<const uint8_t> ends, int64_t length);

// Which rows are held out. Under "episode" whole episodes are (at least one, and never all, where
// there are two or more); under "windows" random windows are, as in the reference.
struct Split {
  std::vector<int64_t> train;       // window starts
  std::vector<int64_t> validation;  // window starts
};
Split SplitWindowsByEpisode(const std::vector<EpisodeRange>& episodes, int64_t length,
                            double validation, const SeedTree& seeds);
Split SplitWindowsAtRandom(std::span<const uint8_t> ends, int64_t length, double validation,
                           const SeedTree& seeds);

// The episodes of `episodes` that are held out, as flags (same choice as SplitWindowsByEpisode). A
// recording of a single episode is cut in time: its last `validation` share becomes an episode of
// its own (SplitSingleEpisode is applied by EpisodeSplit itself).
struct EpisodeSplit {
  std::vector<EpisodeRange> train;
  std::vector<EpisodeRange> validation;
};
EpisodeSplit SplitEpisodes(const std::vector<EpisodeRange>& episodes, double validation,
                           const SeedTree& seeds);

}  // namespace hidreamer::data
