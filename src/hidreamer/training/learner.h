#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/training/metrics.h"

namespace hidreamer::training {

// One training stage as the training loop (pipeline/) sees it: a number of updates, each a function
// of the state and the update's index alone. All random choices of update u come from SeedTree
// streams indexed by u (samples, dropout through torch::manual_seed), so the state below is all
// that is needed to go on to the bit.
class Learner {
 public:
  virtual ~Learner() = default;

  virtual std::string name() const = 0;  // "encoder", "world_model", …
  virtual int64_t total_updates() const = 0;
  virtual int64_t updates_per_epoch() const = 0;

  // Performs update `update` (0-based) and returns what is worth logging: loss, lr, …. On a GPU it
  // may still be under way when this returns; reading the metrics waits for it. Throws NotFinite
  // where a number is; and Interrupted in a long update, of which State() then is the middle: the
  // same update goes on from there.
  virtual Metrics Update(int64_t update) = 0;

  // What the update learned from, drawn again, to look into one that went wrong; empty where that
  // cannot be done any more.
  virtual formats::TensorMap BatchOf(int64_t /*update*/) { return {}; }

  // Called after the last update of each epoch, e.g. for validation; the result is logged as an
  // epoch record. No training state changes here.
  virtual nlohmann::json EndEpoch(int64_t epoch) = 0;

  // Everything training needs: names start with "model." (what later stages load) or "optimizer." /
  // "state." (only for resuming).
  virtual formats::TensorMap State() const = 0;
  virtual void LoadState(const formats::TensorMap& state) = 0;
};

}  // namespace hidreamer::training
