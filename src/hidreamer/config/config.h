#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/data_config.h"
#include "hidreamer/config/evaluation_config.h"
#include "hidreamer/config/field.h"
#include "hidreamer/config/policy_config.h"
#include "hidreamer/config/tokenizer_config.h"
#include "hidreamer/config/world_model_config.h"

namespace hidreamer::config {

// The configuration of one experiment: plain structs, each with one field list that reads,
// range-checks, dumps, documents and hashes it. Defaults are the text's full setting
// (configs/seed.yaml). The online agent's are those of configs/agent/cpu.yaml: LoadConfig(kOnline).
struct Config {
  std::string schedule = kStaged;
  int64_t seed = 1;
  int64_t threads = 0;
  std::string device = "cpu";
  std::string precision = "auto";
  double checkpoint_seconds = 60;
  std::vector<std::string> games = {"pong", "breakout", "ms_pacman"};
  std::vector<std::string> policy_games = {};
  std::string game = "pong";
  int64_t steps = 100000;
  bool overlap = true;
  CollectConfig collect;
  SplitConfig split;
  ReplayConfig replay;
  EncoderConfig encoder;
  TokenizerConfig tokenizer;
  WorldModelConfig world_model;
  PolicyConfig policy;
  EvaluationConfig evaluation;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "schedule",
       .help = "staged: one stage after the other (hidreamer run); online: everything while it "
               "plays (hidreamer agent)",
       .choices = {kStaged, kOnline}},
      schedule);
    v({"seed", "root of every random choice", 0, 9e15}, seed);
    v({"threads", "0: all cores. A resumed run keeps what it started with", 0, 1024}, threads);
    v({.name = "device", .help = "where the networks are trained", .choices = {"cpu", "cuda"}},
      device);
    v({.name = "precision",
       .help = "of matrix products in training; auto measures both once and takes the faster",
       .choices = {"auto", "f32", "bf16"}},
      precision);
    v({"checkpoint_seconds", "time between checkpoints", 0, 1e6, "s"}, checkpoint_seconds);
    v.Only(kStaged);
    v({"games", "ALE's names (pong, breakout, ms_pacman, …) or catch, the built-in one"}, games);
    v({"policy_games", "games a policy is learned for; empty: all of games"}, policy_games);
    v.Only(kOnline);
    v({"game", "ALE's name (pong, breakout, ms_pacman, …) or catch, the built-in one"}, game);
    v({"steps", "agent steps in the real game (4 emulator frames each)", 64, 1e9, "steps"}, steps);
    v({"overlap",
       "train the world model and dream at the same time, on half of the threads each at "
       "first; the dreams then use the world model of the update before"},
      overlap);
    v.Only("");
    v.Section("collect", "frames from the real game", collect);
    v.Only(kStaged);
    v.Section("split", "what is held out for validation", split);
    v.Section("encoder", "CNN encoder, InfoNCE", encoder);
    v.Only(kOnline);
    v.Section("replay", "what is learned from", replay);
    v.Only("");
    v.Section("tokenizer", "frames to codes", tokenizer);
    v.Section("world_model", "what predicts the codes of the next frame", world_model);
    v.Section("policy", "actor-critic in the dream", policy);
    v.Section("evaluation", "judging", evaluation);
  }
};

}  // namespace hidreamer::config
