#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/field.h"

namespace hidreamer::config {

// Of the staged schedule: one embedding a frame.
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
    v({"temperature", "InfoNCE temperature", 1e-3, 10}, temperature);
    v({"epochs", "passes over the data", 1, 1e6, "epochs"}, epochs);
    v({"batch", "anchors per update", 2, 65536, "frames"}, batch);
    v({"updates_per_epoch", "caps an epoch; 0: every training frame once", 0, 1e9, "updates"},
      updates_per_epoch);
    v({"lr", "Adam learning rate at the start; cosine per epoch to final_lr", 0, 1}, lr);
    v({"final_lr", "learning rate of the last epoch", 0, 1}, final_lr);
    v({"weight_decay", "L2 term added to the gradient", 0, 1}, weight_decay);
    v({"clip_norm", "largest global gradient norm", 1e-6, 1e9}, clip_norm);
  }
};

// Frames to codes. Staged: residual codes of the encoder's embeddings. Online: codes of a grid of
// places, learned beside the world model.
struct TokenizerConfig {
  int64_t levels = 3;
  int64_t codes = 256;
  int64_t batch = 256;
  std::vector<double> commitment_costs = {0.05, 0.25, 0.60};
  double decay = 0.99;
  double epsilon = 1e-5;
  bool revive_dead_codes = true;
  double revive_below = 0.05;
  int64_t epochs = 50;
  int64_t updates_per_epoch = 0;
  bool single_vq = true;
  std::string quantizer = "fsq";
  int64_t grid = 8;
  std::vector<double> fsq_levels = {8, 5, 5};
  int64_t dim = 16;
  std::string body = "places";
  int64_t channels = 32;
  double change_weight = 20;
  bool rarity = true;
  double stillness = 0.01;
  int64_t warmup_updates = 700;
  int64_t freeze_after = 0;
  double lr = 6e-3;
  double online_lr = 1e-3;
  double final_lr = 3e-5;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({.name = "levels",
       .help = "codebooks of the residual quantizer, coarse to fine; 1 is a plain VQ",
       .min = 1,
       .max = 8,
       .formerly = {"tokenizer.rvq_levels"}},
      levels);
    v({.name = "codes",
       .help = "codes of each codebook",
       .min = 2,
       .max = 4096,
       .unit = "codes",
       .formerly = {"tokenizer.rvq_codes"}},
      codes);
    v({"batch", "frames per update", 2, 1e6, "frames"}, batch);
    v.Only(kStaged);
    v({"commitment_costs",
       "weight of each level in the commitment loss; changes nothing while the encoder is "
       "frozen",
       0, 100},
      commitment_costs);
    v({"decay", "moving average of cluster sizes and sums, per update", 0, 1}, decay);
    v({"epsilon", "Laplace smoothing of the cluster sizes", 0, 1}, epsilon);
    v({"revive_dead_codes", "replace codes that fell out of use by vectors of the current batch"},
      revive_dead_codes);
    v({"revive_below",
       "a code is dead when its average count per update falls below this share of the "
       "uniform count",
       0, 1},
      revive_below);
    v({"epochs", "passes over the data", 1, 1e6, "epochs"}, epochs);
    v({"updates_per_epoch", "caps an epoch; 0: every training frame once", 0, 1e9, "updates"},
      updates_per_epoch);
    v({"single_vq", "also train the text's single VQ, for comparison"}, single_vq);
    v.Only(kOnline);
    v({.name = "quantizer",
       .help = "fsq: finite scalar quantization, codes as fsq_levels has them; rvq: the residual "
               "quantizer of levels, codes and dim",
       .choices = {"fsq", "rvq"}},
      quantizer);
    v({"grid", "G; a frame becomes G x G places", 1, 16}, grid);
    v({"fsq_levels", "codes of each level", 2, 64}, fsq_levels);
    v({.name = "dim",
       .help = "size of a code (rvq)",
       .min = 2,
       .max = 512,
       .formerly = {"tokenizer.rvq_dim"}},
      dim);
    v({.name = "body",
       .help =
           "places: encoder and decoder learn what is always at each place; near: they do not, as "
           "in models trained before",
       .choices = {"places", "near"}},
      body);
    v({"channels", "of the convolutions; the decoder has four times as many hidden units a place",
       4, 512},
      channels);
    v({"change_weight",
       "extra weight of pixels that moved or stand out from the background; 0: plain "
       "squared error, which loses the ball",
       0, 1e4},
      change_weight);
    v({"rarity",
       "weigh those pixels by how seldom they differ from the background: a ball more than "
       "a paddle"},
      rarity);
    v({"stillness",
       "weight of |latent change| between consecutive frames, in codes: what does not move "
       "keeps its code; 0: off",
       0, 100},
      stillness);
    v({.name = "warmup_updates",
       .help = "updates of the tokenizer alone after the prefill",
       .min = 0,
       .max = 1e6,
       .unit = "updates",
       .formerly = {"tokenizer.head_start"}},
      warmup_updates);
    v({"freeze_after", "updates after which the tokenizer is kept as it is; 0: never", 0, 1e9,
       "updates"},
      freeze_after);
    v({"lr", "Adam learning rate of the warm-up", 0, 1}, lr);
    v({"online_lr",
       "learning rate once the world model learns from the codes: what moves under it has "
       "to be learned again",
       0, 1},
      online_lr);
    v({"final_lr",
       "learning rate at the end of the cosine, when the tokenizer is frozen or the run ends, so "
       "that codes settle",
       0, 1},
      final_lr);
  }
};

}  // namespace hidreamer::config
