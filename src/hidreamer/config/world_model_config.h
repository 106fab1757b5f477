#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/config/field.h"

namespace hidreamer::config {

// Staged: the text's hierarchical transformer. Online: what predicts codes, reward and end
// together.
struct WorldModelConfig {
  int64_t width = 384;
  int64_t layers = 6;
  int64_t heads = 6;
  std::string mask = "reference";
  int64_t window = 64;
  double lr = 3e-4;
  int64_t warmup_updates = 1000;
  double clip_norm = 1.0;
  int64_t batch = 32;
  int64_t ffn_width = 1536;
  double dropout = 0.1;
  int64_t max_steps = 64;
  std::vector<double> loss_weights = {1.0, 0.5, 0.1};
  int64_t epochs = 40;
  int64_t updates_per_epoch = 0;
  int64_t accumulate = 2;
  double final_lr = 1e-6;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double weight_decay = 0.1;
  int64_t validation_windows = 0;
  std::string kind = "step";
  int64_t channels = 32;
  int64_t local_blocks = 2;
  bool local_path = true;
  int64_t local_frames = 7;
  bool depth_head = true;
  int64_t minibatches = 4;
  double changed_weight = 4;
  bool calibrated = false;
  double cpc_scale = 0.1;
  int64_t cpc_steps = 10;
  double matrix_lr = 0.03;
  double final_lr_share = 0.05;
  double average = 0.98;

  template <typename Visitor>
  void Visit(Visitor& v) {
    v({"width", "D of the transformer", 8, 8192}, width);
    v({"layers", "transformer blocks", 1, 64}, layers);
    v({"heads", "attention heads; divide the width", 1, 128}, heads);
    v({.name = "mask",
       .help = "who attends to whom, docs/model.md: the reference's, the stricter one of its text, "
               "or plain causal",
       .choices = {"reference", "strict", "causal"}},
      mask);
    v({"window", "length of a training sequence", 3, 4096, "steps"}, window);
    v({"lr", "AdamW learning rate after the warm-up", 0, 1}, lr);
    v({"warmup_updates", "updates over which the learning rate rises from 0", 0, 1e9, "updates"},
      warmup_updates);
    v({"clip_norm", "largest global gradient norm", 1e-6, 1e9}, clip_norm);
    v.Only(kStaged);
    v({"batch", "windows per forward pass", 1, 65536, "windows"}, batch);
    v({"ffn_width", "hidden size of a block's feed-forward part", 8, 65536}, ffn_width);
    v({"dropout", "dropout probability", 0, 0.9}, dropout);
    v({"max_steps", "longest sequence, positions / (levels + 1)", 2, 4096, "steps"}, max_steps);
    v({"loss_weights", "weight of each level's cross-entropy", 0, 100}, loss_weights);
    v({"epochs", "passes over all training windows", 1, 1e6, "epochs"}, epochs);
    v({"updates_per_epoch", "caps an epoch; 0: every training window once", 0, 1e9, "updates"},
      updates_per_epoch);
    v({"accumulate", "forward passes per update", 1, 1024}, accumulate);
    v({"final_lr", "learning rate at the end of the cosine", 0, 1}, final_lr);
    v({"beta1", "AdamW beta 1", 0, 1}, beta1);
    v({"beta2", "AdamW beta 2", 0, 1}, beta2);
    v({"weight_decay", "decoupled weight decay on every parameter", 0, 10}, weight_decay);
    v({"validation_windows", "validation windows evaluated after an epoch; 0: all", 0, 1e9,
       "windows"},
      validation_windows);
    v.Only(kOnline);
    v({"batch", "windows per update", 1, 65536, "windows"}, batch);
    v({.name = "kind",
       .help = "step: one transformer position a step, beside a local path; token: one a code, the "
               "text's hierarchical transformer (channels, local_… and depth_head are the step's)",
       .choices = {"step", "token"}},
      kind);
    v({"channels", "of the local path", 4, 1024}, channels);
    v({"local_blocks", "convolutions of the local path before, and after the action", 0, 16},
      local_blocks);
    v({"local_path",
       "predict a place from its neighbourhood in the newest frames; false: from the "
       "transformer alone"},
      local_path);
    v({"local_frames", "newest frames that the local path reads", 1, 16, "frames"}, local_frames);
    v({"depth_head", "predict a place's levels coarse to fine; false: independently of each other"},
      depth_head);
    v({"minibatches",
       "optimizer steps that an update's windows are split over: more steps of smaller "
       "batches learn faster at the same cost",
       1, 65536},
      minibatches);
    v({"changed_weight",
       "weight of codes that differ from the step before, beside 1 for the others", 0, 1e4},
      changed_weight);
    v({"calibrated",
       "draw codes in dreams as often as they come: changed_weight makes changes seem so "
       "much likelier; for policy.temperature 1"},
      calibrated);
    v({"cpc_scale", "weight of the action-conditioned contrastive loss (AC-CPC, TWISTER); 0: off",
       0, 100},
      cpc_scale);
    v({"cpc_steps", "how far ahead the contrastive target lies", 1, 1024, "steps"}, cpc_steps);
    v({"matrix_lr",
       "Muon's learning rate at the start, for the weights of the local path's hidden "
       "layers or, with kind: token, of the transformer's blocks; 0: AdamW for them too",
       0, 1},
      matrix_lr);
    v({"final_lr_share", "what is left of the learning rates at the end of their cosine", 0, 1},
      final_lr_share);
    v({"average",
       "dreams and games use a moving average of the weights: what it keeps at each "
       "optimizer step; 0: the newest weights",
       0, 0.99999},
      average);
  }
};

}  // namespace hidreamer::config
