#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/field.h"

namespace hidreamer::config {

// Judging.
struct EvaluationConfig {
  int64_t episodes = 100;
  std::vector<std::string> protocols = {"atari100k"};
  int64_t environments = 16;
  int64_t max_frames = 108000;
  int64_t probe_frames = 20000;
  int64_t open_loop_windows = 256;
  int64_t open_loop_steps = 50;
  int64_t context = 16;
  int64_t times = 5;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v.Only(kStaged);
    v({"episodes", "whole games played with the final policy, and by a random one", 1, 1e6,
       "episodes"},
      episodes);
    v({.name = "protocols", .help = "protocols to play under", .choices = {"atari100k", "v5"}},
      protocols);
    v({"environments", "games played side by side", 1, 1024}, environments);
    v({"max_frames", "frames after which a game is cut off", 100, 108000, "frames"}, max_frames);
    v({"probe_frames", "frames of each game a probe is fitted on, at most", 100, 1e7, "frames"},
      probe_frames);
    v({"open_loop_windows", "held-out windows dreamed on under their logged actions", 1, 1e6,
       "windows"},
      open_loop_windows);
    v({"open_loop_steps", "how far they are dreamed", 1, 1024, "steps"}, open_loop_steps);
    v({"context", "real steps before an open-loop dream", 1, 1024, "steps"}, context);
    v.Only(kOnline);
    v({.name = "times",
       .help = "how often on the way the policy is scored in the real game; not counted as steps",
       .min = 1,
       .max = 1e6,
       .formerly = {"evaluations"}},
      times);
    v({.name = "episodes",
       .help = "games of each of these; 0: none",
       .min = 0,
       .max = 1e6,
       .unit = "episodes",
       .formerly = {"evaluation_episodes"}},
      episodes);
  }
};

}  // namespace hidreamer::config
