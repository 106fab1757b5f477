#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/actor_critic_fields.h"
#include "hidreamer/config/field.h"

// The configuration of one experiment: plain structs, each with one field list that reads,
// range-checks, dumps, documents and hashes it. Defaults are the text's full setting
// (configs/seed.yaml).
namespace hidreamer::config {

struct CollectConfig {
  int64_t steps = 100000;
  std::string policy = "random";
  std::string protocol = "atari100k";
  int64_t environments = 8;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "steps",
       .help = "agent steps to record of each game",
       .unit = "steps",
       .min = 16,
       .max = 1e9},
      steps);
    v({.name = "policy",
       .help = "who plays: random, mixture (half random, half a scripted player, episode by "
               "episode), or a run directory"},
      policy);
    v({.name = "protocol",
       .help = "observation protocol, docs/data_formats.md",
       .choices = {"atari100k", "v5"}},
      protocol);
    v({.name = "environments",
       .help = "games played side by side",
       .unit = "environments",
       .min = 1,
       .max = 1024},
      environments);
  }
};

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
    v({.name = "validation", .help = "share held out", .min = 0.01, .max = 0.5}, validation);
    v({.name = "compare",
       .help = "also train the world model under the other split, to show both side by side; it "
               "is used for nothing else"},
      compare);
  }
};

struct EncoderConfig {
  std::string negatives = "batch";
  double temperature = 0.1;
  int64_t epochs = 30;
  int64_t batch = 256;
  int64_t updates_per_epoch = 0;
  double lr = 3e-4;
  double final_lr = 1e-6;
  double weight_decay = 1e-5;
  double clip_norm = 1.0;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "negatives",
       .help = "InfoNCE negatives: the other rows of the batch, or one of the same game at least "
               "10 steps away (the reference)",
       .choices = {"batch", "one"}},
      negatives);
    v({.name = "temperature", .help = "InfoNCE temperature", .min = 1e-3, .max = 10}, temperature);
    v({.name = "epochs", .help = "passes over the data", .unit = "epochs", .min = 1, .max = 1e6},
      epochs);
    v({.name = "batch", .help = "anchors per update", .unit = "frames", .min = 2, .max = 65536},
      batch);
    v({.name = "updates_per_epoch",
       .help = "caps an epoch; 0: every training frame once",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      updates_per_epoch);
    v({.name = "lr",
       .help = "Adam learning rate at the start; cosine per epoch to final_lr",
       .min = 0,
       .max = 1},
      lr);
    v({.name = "final_lr", .help = "learning rate of the last epoch", .min = 0, .max = 1},
      final_lr);
    v({.name = "weight_decay", .help = "L2 term added to the gradient", .min = 0, .max = 1},
      weight_decay);
    v({.name = "clip_norm", .help = "largest global gradient norm", .min = 1e-6, .max = 1e9},
      clip_norm);
  }
};

struct TokenizerConfig {
  int64_t levels = 3;
  int64_t codes = 256;
  std::vector<double> commitment_costs = {0.05, 0.25, 0.60};
  double decay = 0.99;
  double epsilon = 1e-5;
  bool revive_dead_codes = true;
  double revive_below = 0.05;
  int64_t epochs = 50;
  int64_t batch = 256;
  int64_t updates_per_epoch = 0;
  bool single_vq = true;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "levels",
       .help = "codebooks of the residual quantizer, coarse to fine; 1 is a plain VQ",
       .min = 1,
       .max = 8},
      levels);
    v({.name = "codes", .help = "codes of each level", .unit = "codes", .min = 2, .max = 4096},
      codes);
    v({.name = "commitment_costs",
       .help = "weight of each level in the commitment loss; changes nothing while the encoder is "
               "frozen",
       .min = 0,
       .max = 100},
      commitment_costs);
    v({.name = "decay",
       .help = "moving average of cluster sizes and sums, per update",
       .min = 0,
       .max = 1},
      decay);
    v({.name = "epsilon", .help = "Laplace smoothing of the cluster sizes", .min = 0, .max = 1},
      epsilon);
    v({.name = "revive_dead_codes",
       .help = "replace codes that fell out of use by vectors of the current batch"},
      revive_dead_codes);
    v({.name = "revive_below",
       .help = "a code is dead when its average count per update falls below this share of the "
               "uniform count",
       .min = 0,
       .max = 1},
      revive_below);
    v({.name = "epochs", .help = "passes over the data", .unit = "epochs", .min = 1, .max = 1e6},
      epochs);
    v({.name = "batch", .help = "vectors per update", .unit = "frames", .min = 2, .max = 1e6},
      batch);
    v({.name = "updates_per_epoch",
       .help = "caps an epoch; 0: every training frame once",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      updates_per_epoch);
    v({.name = "single_vq", .help = "also train the text's single VQ, for comparison"}, single_vq);
  }
};

struct WorldModelConfig {
  int64_t width = 384;
  int64_t layers = 6;
  int64_t heads = 6;
  int64_t ffn_width = 1536;
  double dropout = 0.1;
  int64_t max_steps = 64;
  std::string mask = "reference";
  std::vector<double> loss_weights = {1.0, 0.5, 0.1};
  int64_t window = 64;
  int64_t epochs = 40;
  int64_t updates_per_epoch = 0;
  int64_t batch = 32;
  int64_t accumulate = 2;
  double lr = 3e-4;
  double final_lr = 1e-6;
  int64_t warmup_updates = 1000;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double weight_decay = 0.1;
  double clip_norm = 1.0;
  int64_t validation_windows = 0;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "width", .help = "D, size of a position's vector", .min = 8, .max = 8192}, width);
    v({.name = "layers", .help = "transformer blocks", .min = 1, .max = 64}, layers);
    v({.name = "heads", .help = "attention heads; divide the width", .min = 1, .max = 128}, heads);
    v({.name = "ffn_width",
       .help = "hidden size of a block's feed-forward part",
       .min = 8,
       .max = 65536},
      ffn_width);
    v({.name = "dropout", .help = "dropout probability", .min = 0, .max = 0.9}, dropout);
    v({.name = "max_steps",
       .help = "longest sequence, positions / (levels + 1)",
       .unit = "steps",
       .min = 2,
       .max = 4096},
      max_steps);
    v({.name = "mask",
       .help = "who attends to whom, docs/model.md: the reference's, the stricter one of its text, "
               "or plain causal",
       .choices = {"reference", "strict", "causal"}},
      mask);
    v({.name = "loss_weights",
       .help = "weight of each level's cross-entropy",
       .min = 0,
       .max = 100},
      loss_weights);
    v({.name = "window",
       .help = "length of a training sequence; never crosses an episode border",
       .unit = "steps",
       .min = 2,
       .max = 4096},
      window);
    v({.name = "epochs",
       .help = "passes over all training windows",
       .unit = "epochs",
       .min = 1,
       .max = 1e6},
      epochs);
    v({.name = "updates_per_epoch",
       .help = "caps an epoch; 0: every training window once",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      updates_per_epoch);
    v({.name = "batch",
       .help = "windows per forward pass",
       .unit = "windows",
       .min = 1,
       .max = 65536},
      batch);
    v({.name = "accumulate", .help = "forward passes per update", .min = 1, .max = 1024},
      accumulate);
    v({.name = "lr", .help = "AdamW learning rate after the warm-up", .min = 0, .max = 1}, lr);
    v({.name = "final_lr", .help = "learning rate at the end of the cosine", .min = 0, .max = 1},
      final_lr);
    v({.name = "warmup_updates", .help = "linear warm-up", .unit = "updates", .min = 0, .max = 1e9},
      warmup_updates);
    v({.name = "beta1", .help = "AdamW beta 1", .min = 0, .max = 1}, beta1);
    v({.name = "beta2", .help = "AdamW beta 2", .min = 0, .max = 1}, beta2);
    v({.name = "weight_decay",
       .help = "decoupled weight decay on every parameter",
       .min = 0,
       .max = 10},
      weight_decay);
    v({.name = "clip_norm", .help = "largest global gradient norm", .min = 1e-6, .max = 1e9},
      clip_norm);
    v({.name = "validation_windows",
       .help = "validation windows evaluated after an epoch; 0: all",
       .unit = "windows",
       .min = 0,
       .max = 1e9},
      validation_windows);
  }
};

struct PolicyConfig {
  std::string algorithm = "reinforce";
  std::string feature = "hidden";
  std::string critic = "two_hot";
  int64_t hidden_width = 512;
  int64_t updates = 10000;
  int64_t head_updates = 2000;
  int64_t batch = 64;
  int64_t context = 16;
  int64_t horizon = 15;
  double seed_near_reward = 0.5;
  double gamma = 0.997;
  double lambda = 0.95;
  double entropy = 3e-4;
  double final_entropy = 3e-4;
  bool normalize_returns = true;
  bool center_advantages = false;
  double unimix = 0.01;
  double lr = 3e-4;
  double clip_norm = 1.0;
  double slow_tau = 0.02;
  double normalizer_decay = 0.99;
  double cpc_scale = 0.5;
  int64_t cpc_width = 256;
  int64_t cpc_steps = 3;
  double ppo_clip = 0.2;
  int64_t ppo_epochs = 4;
  bool world_model_frozen = true;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "algorithm",
       .help = "policy gradient on lambda-returns",
       .choices = {"reinforce", "ppo"}},
      algorithm);
    v({.name = "feature",
       .help = "what the networks see: the three code embeddings, or the transformer's hidden "
               "states at L0, L1, L2",
       .choices = {"codes", "hidden"}},
      feature);
    v({.name = "critic",
       .help = "two-hot log-likelihood over symlog bins, or the reference's squared error in "
               "symlog space",
       .choices = {"two_hot", "symlog_mse"}},
      critic);
    v({.name = "hidden_width",
       .help = "hidden size of actor, critic, reward and continue networks",
       .min = 8,
       .max = 8192},
      hidden_width);
    v({.name = "updates",
       .help = "actor-critic updates of each game",
       .unit = "updates",
       .min = 1,
       .max = 1e9},
      updates);
    v({.name = "head_updates",
       .help = "updates of the reward and continue heads before the first dream",
       .unit = "updates",
       .min = 0,
       .max = 1e9},
      head_updates);
    v({.name = "batch", .help = "dreams per update", .unit = "rollouts", .min = 1, .max = 65536},
      batch);
    v({.name = "context",
       .help = "real steps before a dream starts",
       .unit = "steps",
       .min = 1,
       .max = 4096},
      context);
    v({.name = "horizon", .help = "H, dreamed steps", .unit = "steps", .min = 1, .max = 1024},
      horizon);
    v({.name = "seed_near_reward",
       .help = "share of dreams seeded so that a recorded reward falls inside the horizon",
       .min = 0,
       .max = 1},
      seed_near_reward);
    VisitActorCritic(v, *this);
    v({.name = "normalizer_decay",
       .help = "moving average of the 5 % and 95 % quantiles of the returns",
       .min = 0,
       .max = 1},
      normalizer_decay);
    v({.name = "cpc_scale",
       .help = "weight of the action-conditioned contrastive loss (AC-CPC, TWISTER); 0: off",
       .min = 0,
       .max = 100},
      cpc_scale);
    v({.name = "cpc_width", .help = "size of the contrastive space", .min = 2, .max = 8192},
      cpc_width);
    v({.name = "cpc_steps",
       .help = "how far ahead the contrastive target lies",
       .unit = "steps",
       .min = 1,
       .max = 1024},
      cpc_steps);
    v({.name = "ppo_clip", .help = "PPO's clip range (algorithm: ppo)", .min = 0, .max = 10},
      ppo_clip);
    v({.name = "ppo_epochs",
       .help = "passes over one batch of dreams (algorithm: ppo)",
       .min = 1,
       .max = 1024},
      ppo_epochs);
    v({.name = "world_model_frozen",
       .help = "keep the world model as trained, or go on training it on real windows between "
               "policy updates"},
      world_model_frozen);
  }
};

struct EvaluationConfig {
  int64_t episodes = 100;
  std::vector<std::string> protocols = {"atari100k"};
  int64_t environments = 16;
  int64_t max_frames = 108000;
  int64_t probe_frames = 20000;
  int64_t open_loop_windows = 256;
  int64_t open_loop_steps = 50;
  int64_t context = 16;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "episodes",
       .help = "whole games played with the final policy, and by a random one",
       .unit = "episodes",
       .min = 1,
       .max = 1e6},
      episodes);
    v({.name = "protocols", .help = "protocols to play under", .choices = {"atari100k", "v5"}},
      protocols);
    v({.name = "environments", .help = "games played side by side", .min = 1, .max = 1024},
      environments);
    v({.name = "max_frames",
       .help = "frames after which a game is cut off",
       .unit = "frames",
       .min = 100,
       .max = 108000},
      max_frames);
    v({.name = "probe_frames",
       .help = "frames of each game a probe is fitted on, at most",
       .unit = "frames",
       .min = 100,
       .max = 1e7},
      probe_frames);
    v({.name = "open_loop_windows",
       .help = "held-out windows dreamed on under their logged actions",
       .unit = "windows",
       .min = 1,
       .max = 1e6},
      open_loop_windows);
    v({.name = "open_loop_steps",
       .help = "how far they are dreamed",
       .unit = "steps",
       .min = 1,
       .max = 1024},
      open_loop_steps);
    v({.name = "context",
       .help = "real steps before an open-loop dream",
       .unit = "steps",
       .min = 1,
       .max = 1024},
      context);
  }
};

struct ExperimentConfig {
  int64_t seed = 1;
  int64_t threads = 0;
  std::string device = "cpu";
  std::string precision = "auto";
  double checkpoint_seconds = 60;
  std::vector<std::string> games = {"pong", "breakout", "ms_pacman"};
  std::vector<std::string> policy_games = {};
  CollectConfig collect;
  SplitConfig split;
  EncoderConfig encoder;
  TokenizerConfig tokenizer;
  WorldModelConfig world_model;
  PolicyConfig policy;
  EvaluationConfig evaluation;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "seed", .help = "root of every random choice", .min = 0, .max = 9e15}, seed);
    v({.name = "threads",
       .help = "0: all cores. A resumed run keeps what it started with",
       .min = 0,
       .max = 1024},
      threads);
    v({.name = "device", .help = "where the networks are trained", .choices = {"cpu", "cuda"}},
      device);
    v({.name = "precision",
       .help = "of matrix products in training; auto measures both once and takes the faster",
       .choices = {"auto", "f32", "bf16"}},
      precision);
    v({.name = "checkpoint_seconds",
       .help = "time between checkpoints",
       .unit = "s",
       .min = 0,
       .max = 1e6},
      checkpoint_seconds);
    v({.name = "games",
       .help = "ALE's names (pong, breakout, ms_pacman, …) or catch, the built-in one"},
      games);
    v({.name = "policy_games", .help = "games a policy is learned for; empty: all of games"},
      policy_games);
    v.Section("collect", "frames from the real game", collect);
    v.Section("split", "what is held out for validation", split);
    v.Section("encoder", "CNN encoder, InfoNCE", encoder);
    v.Section("tokenizer", "residual vector quantizer", tokenizer);
    v.Section("world_model", "hierarchical transformer", world_model);
    v.Section("policy", "actor-critic in the dream", policy);
    v.Section("evaluation", "judging", evaluation);
  }
};

}  // namespace hidreamer::config
