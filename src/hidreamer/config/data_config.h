#pragma once

#include <cstdint>
#include <string>

#include "hidreamer/config/field.h"

// What is played in the real game, and what of it is learned from.
namespace hidreamer::config {

struct CollectConfig {
  int64_t steps = 100000;
  std::string policy = "random";
  std::string protocol = "atari100k";
  int64_t environments = 8;
  int64_t prefill = 6000;
  int64_t steps_per_update = 24;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "protocol",
       .help = "observation protocol, docs/data_formats.md",
       .choices = {"atari100k", "v5"},
       .formerly = {"protocol"}},
      protocol);
    v({"environments", "games played side by side", 1, 1024, "environments"}, environments);
    v.Only(kStaged);
    v({"steps", "agent steps to record of each game", 16, 1e9, "steps"}, steps);
    v({"policy",
       "who plays: random, mixture (half random, half a scripted player, episode by "
       "episode), or a run directory"},
      policy);
    v.Only(kOnline);
    v({.name = "policy",
       .help = "who plays after the prefill: the agent, or a fixed player (to judge the world "
               "model apart from the policy)",
       .choices = {"agent", "random", "mixture"},
       .formerly = {"collect.behaviour"}},
      policy);
    v({"prefill", "random steps before the first update", 16, 1e9, "steps"}, prefill);
    v({"steps_per_update",
       "the train ratio: agent steps played for each update of all networks; a multiple of "
       "environments",
       1, 1e6, "steps"},
      steps_per_update);
  }
};

// Of the staged schedule.
struct SplitConfig {
  std::string by = "episode";
  double validation = 0.1;
  bool compare = true;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "by",
       .help = "what is held out: whole episodes, or random stride-1 windows (the text's split, "
               "under which every target was also trained on)",
       .choices = {"episode", "windows"}},
      by);
    v({"validation", "share held out", 0.01, 0.5}, validation);
    v({"compare",
       "also train the world model under the other split, to show both side by side; it "
       "is used for nothing else"},
      compare);
  }
};

// Of the online schedule.
struct ReplayConfig {
  double recent_share = 0.25;
  int64_t recent_steps = 10000;
  double near_reward_share = 0.25;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({"recent_share", "share of windows drawn from the newest steps", 0, 1}, recent_share);
    v({"recent_steps", "how many steps count as new", 1, 1e9, "steps"}, recent_steps);
    v({"near_reward_share",
       "share of windows with a reward in their last steps, so that dreams meet it", 0, 1},
      near_reward_share);
  }
};

}  // namespace hidreamer::config
