#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/actor_critic_fields.h"
#include "hidreamer/config/field.h"

// The configuration of an online agent (hidreamer agent). Defaults are the preset `cpu`.
namespace hidreamer::config {

struct AgentCollectConfig {
  int64_t environments = 8;
  int64_t prefill = 6000;
  int64_t steps_per_update = 24;
  std::string behaviour = "agent";

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "environments", .help = "games played side by side", .min = 1, .max = 1024},
      environments);
    v({.name = "prefill",
       .help = "random steps before the first update",
       .unit = "steps",
       .min = 16,
       .max = 1e9},
      prefill);
    v({.name = "steps_per_update",
       .help = "the train ratio: agent steps played for each update of all networks; a multiple of "
               "environments",
       .unit = "steps",
       .min = 1,
       .max = 1e6},
      steps_per_update);
    v({.name = "behaviour",
       .help =
           "who plays after the prefill: the agent, or a fixed player (to judge the world model "
           "apart from the policy)",
       .choices = {"agent", "random", "mixture"}},
      behaviour);
  }
};

struct AgentReplayConfig {
  double recent_share = 0.25;
  int64_t recent_steps = 10000;
  double near_reward_share = 0.25;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "recent_share",
       .help = "share of windows drawn from the newest steps",
       .min = 0,
       .max = 1},
      recent_share);
    v({.name = "recent_steps",
       .help = "how many steps count as new",
       .unit = "steps",
       .min = 1,
       .max = 1e9},
      recent_steps);
    v({.name = "near_reward_share",
       .help = "share of windows with a reward in their last steps, so that dreams meet it",
       .min = 0,
       .max = 1},
      near_reward_share);
  }
};

struct AgentTokenizerConfig {
  std::string quantizer = "fsq";
  int64_t grid = 8;
  std::vector<double> fsq_levels = {8, 5, 5};
  int64_t rvq_levels = 3;
  int64_t rvq_codes = 128;
  int64_t rvq_dim = 16;
  std::string body = "near";
  int64_t channels = 32;
  double change_weight = 20;
  bool rarity = true;
  double stillness = 0.01;
  int64_t batch = 96;
  int64_t head_start = 700;
  int64_t freeze_after = 0;
  double lr = 1e-3;
  double online_lr = 3e-4;
  double final_lr = 3e-5;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "quantizer",
       .help = "finite scalar quantization, or the residual vector quantizer",
       .choices = {"fsq", "rvq"}},
      quantizer);
    v({.name = "grid", .help = "G; a frame becomes G x G places", .min = 1, .max = 16}, grid);
    v({.name = "fsq_levels", .help = "codes of each level (fsq)", .min = 2, .max = 64}, fsq_levels);
    v({.name = "rvq_levels", .help = "codebooks (rvq)", .min = 1, .max = 8}, rvq_levels);
    v({.name = "rvq_codes", .help = "codes of each codebook (rvq)", .min = 2, .max = 4096},
      rvq_codes);
    v({.name = "rvq_dim", .help = "size of a code (rvq)", .min = 2, .max = 512}, rvq_dim);
    v({.name = "body",
       .help = "what a place's code can see: its own patch alone, or through convolutions more",
       .choices = {"patch", "near", "conv"}},
      body);
    v({.name = "channels",
       .help = "of the convolutions; a quarter of a patch's hidden units",
       .min = 4,
       .max = 512},
      channels);
    v({.name = "change_weight",
       .help = "extra weight of pixels that moved or stand out from the background; 0: plain "
               "squared error, which loses the ball",
       .min = 0,
       .max = 1e4},
      change_weight);
    v({.name = "rarity",
       .help = "weigh those pixels by how seldom they differ from the background: a ball more than "
               "a paddle"},
      rarity);
    v({.name = "stillness",
       .help = "weight of |latent change| between consecutive frames, in codes: what does not move "
               "keeps its code; 0: off",
       .min = 0,
       .max = 100},
      stillness);
    v({.name = "batch", .help = "frames per update", .unit = "frames", .min = 1, .max = 65536},
      batch);
    v({.name = "head_start",
       .help = "updates of the tokenizer alone after the prefill",
       .unit = "updates",
       .min = 0,
       .max = 1e6},
      head_start);
    v({.name = "freeze_after",
       .help = "updates after which the tokenizer is kept as it is; 0: never",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      freeze_after);
    v({.name = "lr", .help = "Adam learning rate of the head start", .min = 0, .max = 1}, lr);
    v({.name = "online_lr",
       .help = "learning rate once the world model learns from the codes: what moves under it has "
               "to be learned again",
       .min = 0,
       .max = 1},
      online_lr);
    v({.name = "final_lr",
       .help = "learning rate at the end of the cosine, so that codes settle",
       .min = 0,
       .max = 1},
      final_lr);
  }
};

struct AgentWorldModelConfig {
  std::string kind = "step";
  std::string mask = "reference";
  int64_t channels = 32;
  int64_t local_blocks = 2;
  bool local_path = true;
  int64_t local_frames = 7;
  bool depth_head = true;
  int64_t width = 256;
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t batch = 28;
  int64_t minibatches = 4;
  int64_t window = 24;
  double changed_weight = 4;
  bool calibrated = false;
  double cpc_scale = 0.1;
  int64_t cpc_steps = 10;
  double lr = 1e-3;
  double matrix_lr = 0.03;
  int64_t warmup_updates = 15;
  double final_lr_share = 0.05;
  double average = 0.98;
  double clip_norm = 1.0;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "kind",
       .help = "step: one transformer position a step, beside a local path; token: one a code, the "
               "text's hierarchical transformer (channels, local_… and depth_head are the step's)",
       .choices = {"step", "token"}},
      kind);
    v({.name = "mask",
       .help = "token: who attends to whom; see the README's seed setting",
       .choices = {"reference", "strict", "causal"}},
      mask);
    v({.name = "channels", .help = "of the local path", .min = 4, .max = 1024}, channels);
    v({.name = "local_blocks",
       .help = "convolutions of the local path before, and after the action",
       .min = 0,
       .max = 16},
      local_blocks);
    v({.name = "local_path",
       .help = "predict a place from its neighbourhood in the newest frames; false: from the "
               "transformer alone"},
      local_path);
    v({.name = "local_frames",
       .help = "newest frames that the local path reads",
       .unit = "frames",
       .min = 1,
       .max = 16},
      local_frames);
    v({.name = "depth_head",
       .help = "predict a place's levels coarse to fine; false: independently of each other"},
      depth_head);
    v({.name = "width", .help = "D of the transformer", .min = 8, .max = 8192}, width);
    v({.name = "layers", .help = "transformer blocks", .min = 1, .max = 64}, layers);
    v({.name = "heads", .help = "attention heads; divide the width", .min = 1, .max = 128}, heads);
    v({.name = "batch", .help = "windows per update", .unit = "windows", .min = 1, .max = 65536},
      batch);
    v({.name = "minibatches",
       .help = "optimizer steps that an update's windows are split over: more steps of smaller "
               "batches learn faster at the same cost",
       .min = 1,
       .max = 65536},
      minibatches);
    v({.name = "window",
       .help = "length of a training sequence; at least policy.context + policy.horizon",
       .unit = "steps",
       .min = 3,
       .max = 4096},
      window);
    v({.name = "changed_weight",
       .help = "weight of codes that differ from the step before, beside 1 for the others",
       .min = 0,
       .max = 1e4},
      changed_weight);
    v({.name = "calibrated",
       .help = "draw codes in dreams as often as they come: changed_weight makes changes seem so "
               "much likelier; for policy.temperature 1"},
      calibrated);
    v({.name = "cpc_scale",
       .help = "weight of the action-conditioned contrastive loss (AC-CPC, TWISTER); 0: off",
       .min = 0,
       .max = 100},
      cpc_scale);
    v({.name = "cpc_steps",
       .help = "how far ahead the contrastive target lies",
       .unit = "steps",
       .min = 1,
       .max = 1024},
      cpc_steps);
    v({.name = "lr", .help = "AdamW learning rate at the start", .min = 0, .max = 1}, lr);
    v({.name = "matrix_lr",
       .help = "Muon's learning rate at the start, for the weights of the local path's hidden "
               "layers; 0: AdamW for them too",
       .min = 0,
       .max = 1},
      matrix_lr);
    v({.name = "warmup_updates",
       .help = "updates over which the learning rate rises from 0",
       .unit = "updates",
       .min = 1,
       .max = 1e9},
      warmup_updates);
    v({.name = "final_lr_share",
       .help = "what is left of the learning rates at the end of their cosine",
       .min = 0,
       .max = 1},
      final_lr_share);
    v({.name = "average",
       .help = "dreams and games use a moving average of the weights: what it keeps at each "
               "optimizer step; 0: the newest weights",
       .min = 0,
       .max = 0.99999},
      average);
    v({.name = "clip_norm", .help = "largest global gradient norm", .min = 1e-6, .max = 1e9},
      clip_norm);
  }
};

struct AgentPolicyConfig {
  std::string experience = "dream";
  std::string sees = "codes+hidden";
  int64_t start_after = 300;
  int64_t batch = 96;
  int64_t context = 8;
  int64_t horizon = 15;
  int64_t hidden_width = 256;
  std::string algorithm = "ppo";
  int64_t passes = 3;
  double ppo_clip = 0.2;
  double gamma = 0.99;
  double lambda = 0.95;
  double entropy = 0.01;
  double final_entropy = 5e-4;
  double unimix = 0.01;
  bool normalize_returns = true;
  bool center_advantages = true;
  double temperature = 0.5;
  double lr = 2e-4;
  double clip_norm = 1.0;
  double slow_tau = 0.02;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "experience",
       .help = "what actor and critic learn from: dreams, or the newest real steps alone",
       .choices = {"dream", "real"}},
      experience);
    v({.name = "sees",
       .help = "what actor and critic see of a state",
       .choices = {"codes+hidden", "codes", "hidden"}},
      sees);
    v({.name = "start_after",
       .help = "updates of the world model before the first one of the policy",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      start_after);
    v({.name = "batch", .help = "dreams per update", .unit = "dreams", .min = 1, .max = 65536},
      batch);
    v({.name = "context",
       .help = "real steps seen when acting, and before a dream",
       .unit = "steps",
       .min = 1,
       .max = 1024},
      context);
    v({.name = "horizon", .help = "H, dreamed steps", .unit = "steps", .min = 1, .max = 1024},
      horizon);
    v({.name = "hidden_width", .help = "hidden size of actor and critic", .min = 8, .max = 8192},
      hidden_width);
    v({.name = "algorithm",
       .help = "policy gradient on lambda-returns",
       .choices = {"reinforce", "ppo"}},
      algorithm);
    v({.name = "passes", .help = "passes over one batch of dreams (ppo)", .min = 1, .max = 64},
      passes);
    v({.name = "ppo_clip", .help = "PPO's clip range", .min = 0, .max = 10}, ppo_clip);
    VisitActorCritic(v, *this);
    v({.name = "temperature",
       .help = "of the codes drawn in dreams; 0: the likeliest",
       .min = 0,
       .max = 10},
      temperature);
  }
};

struct AgentConfig {
  std::string game = "pong";
  int64_t steps = 100000;
  int64_t seed = 1;
  std::string protocol = "atari100k";
  int64_t threads = 0;
  bool overlap = true;
  std::string device = "cpu";
  std::string precision = "auto";
  double checkpoint_seconds = 300;
  int64_t evaluations = 5;
  int64_t evaluation_episodes = 8;
  AgentCollectConfig collect;
  AgentReplayConfig replay;
  AgentTokenizerConfig tokenizer;
  AgentWorldModelConfig world_model;
  AgentPolicyConfig policy;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "game",
       .help = "ALE's name (pong, breakout, ms_pacman, …) or catch, the built-in one"},
      game);
    v({.name = "steps",
       .help = "agent steps in the real game (4 emulator frames each)",
       .unit = "steps",
       .min = 64,
       .max = 1e9},
      steps);
    v({.name = "seed", .help = "root of every random choice", .min = 0, .max = 9e15}, seed);
    v({.name = "protocol", .help = "observation protocol", .choices = {"atari100k", "v5"}},
      protocol);
    v({.name = "threads",
       .help = "0: all cores. A resumed run keeps what it started with",
       .min = 0,
       .max = 1024},
      threads);
    v({.name = "overlap",
       .help = "train the world model and dream at the same time, on half of the threads each at "
               "first; the dreams then use the world model of the update before"},
      overlap);
    v({.name = "device", .help = "where the networks live", .choices = {"cpu", "cuda"}}, device);
    v({.name = "precision",
       .help = "of matrix products; auto measures both once and takes the faster",
       .choices = {"auto", "f32", "bf16"}},
      precision);
    v({.name = "checkpoint_seconds",
       .help = "time between checkpoints",
       .unit = "s",
       .min = 0,
       .max = 1e6},
      checkpoint_seconds);
    v({.name = "evaluations",
       .help = "how often on the way the policy is scored in the real game; not counted as steps",
       .min = 1,
       .max = 1e6},
      evaluations);
    v({.name = "evaluation_episodes",
       .help = "games of each of these; 0: none",
       .unit = "episodes",
       .min = 0,
       .max = 1e6},
      evaluation_episodes);
    v.Section("collect", "playing the real game", collect);
    v.Section("replay", "what is learned from", replay);
    v.Section("tokenizer", "frames to codes and back", tokenizer);
    v.Section("world_model", "what predicts the next frame's codes, reward and end", world_model);
    v.Section("policy", "actor-critic", policy);
  }
};

// The preset of this name (Presets(): cpu, gpu, test). Throws a user Error for another name.
AgentConfig AgentPreset(const std::string& name);

// The preset, then the file (or the preset that it names) if it is not empty, then the overrides
// ("policy.horizon=10"). Errors as LoadConfig's.
AgentConfig LoadAgentConfig(const std::string& preset, const std::string& file,
                            const std::vector<std::string>& overrides);

// Throws a user Error for values that do not fit each other.
void CheckAgentConfig(const AgentConfig& config);

}  // namespace hidreamer::config
