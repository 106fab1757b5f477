#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/env/player.h"

// Scores in the real game: whole games, unclipped reward, a lost life does not end an episode.
namespace hidreamer::evaluation {

using EnvironmentFactory = std::function<std::unique_ptr<env::Environment>()>;

struct PlayOptions {
  int64_t episodes = 100;
  int64_t environments = 16;    // games side by side
  int64_t max_frames = 108000;  // emulator frames after which a game is cut off
  int64_t frame_skip = 4;       // emulator frames of one agent step
  int64_t threads = 0;          // 0: all cores; the result does not depend on it
  uint64_t seed = 0;
  bool progress = true;
  // Where the first game is kept as a data::EpisodeStore, replacing the one before; "": nowhere.
  std::filesystem::path record = {};
};

struct PlayedEpisode {
  double score = 0;    // sum of unclipped rewards
  int64_t length = 0;  // agent steps
  bool truncated = false;
  uint64_t seed = 0;  // Environment::Reset's
};

struct PlayResult {
  std::string game = {};
  std::string protocol = {};
  std::string player = {};
  uint64_t seed = 0;
  int64_t max_frames = 0;
  std::vector<PlayedEpisode> episodes = {};
  double seconds = 0;

  std::vector<double> Scores() const;
};

// Plays episode e with the environment seed Stream("episode", e) and a player generator
// Stream("player", e), `environments` of them at a time. All games advance in step, so the result
// depends on the options alone, not on the number of threads. Throws Interrupted on Ctrl-C.
PlayResult PlayEpisodes(const EnvironmentFactory& factory, env::Player& player,
                        const PlayOptions& options);

// Mean, standard error, median, IQM, minimum, maximum, how many games were cut off by the frame
// limit, human-normalised score (where none was: it is one of whole games), beside the random
// policy: the recorded figures of PROTOCOL.md and, where given, one measured alongside.
nlohmann::json ToJson(const PlayResult& result, const PlayResult* random = nullptr);

}  // namespace hidreamer::evaluation
