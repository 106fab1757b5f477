#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/env/player.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::data {

struct CollectOptions {
  std::string game;                    // ALE's name or "catch"
  std::string protocol = "atari100k";  // "atari100k" | "v5"
  int64_t steps = 100000;              // agent steps in all, shared out among the environments
  int environments = 8;
  int64_t threads = 0;  // 0: all cores; changes nothing but the speed
  uint64_t seed = 1;
  env::EnvironmentOptions environment = {};
  bool show_progress = true;
};

struct CollectSummary {
  int64_t steps = 0;
  int64_t episodes = 0;   // whole ones
  double mean_score = 0;  // unclipped, of whole episodes; 0 where there is none
  double seconds = 0;
  uint64_t frame_bytes = 0;  // frames on disk
};

// Records `options.steps` steps of `player` into an EpisodeStore at `path`, replacing a recording
// that is there. Rows are ordered environment by environment; the last episode of each is cut off
// and marked truncated. The same options give the same bytes, whatever the number of threads; a run
// that was killed leaves no store and is simply run again. Throws a user Error before any work if
// `path` cannot be written or holds anything but a recording, Interrupted on Ctrl-C.
CollectSummary CollectEpisodes(const CollectOptions& options, env::Player& player,
                               const std::filesystem::path& path);

}  // namespace hidreamer::data
