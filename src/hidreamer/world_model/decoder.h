#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/transformer_cache.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::world_model {

// Runs a world model one position at a time for a batch of B sequences, keeping the keys and values
// of what went before. Nothing is reallocated and no position is computed twice. Gradients are off
// and dropout is not applied, whatever mode the model is in.
//   Decoder decoder(model, batch);
//   hidden = decoder.Prefill(tokens, actions);      // real steps -> the last one's
//   for each dreamed step: code 0 from Logits(0, hidden at ACTION), h = PushCode(0, code);
//                          code 1 from Logits(level, h), PushCode(1, code); …; h =
//                          PushAction(action)
//
// The cache lies in the order [past fine codes | past L0 and ACTION | current step], so that every
// query reads one contiguous range and no mask is needed: L0 queries start at the left under
// kReference, all others in the middle. kStrict keeps no past fine codes at all.
class Decoder {
 public:
  // capacity: steps to keep at most; 0: the model's max_steps. kBf16: products and the cache in
  // bf16; hidden states are f32 all the same.
  Decoder(WorldModel model, int64_t batch, int64_t capacity = 0,
          layers::Precision precision = layers::Precision::kF32);

  // Forgets everything; the next position is L0 of step 0. The model's weights may have changed
  // until here, and not from the first position on.
  void Reset();

  // tokens (B, T, S), actions (B, T), all int64 -> hidden of the last step's positions (B, K, D).
  // actions (B, T-1) leave that step open: hidden (B, S, D), and the next call is PushAction. Only
  // at the start (after construction or Reset).
  torch::Tensor Prefill(const torch::Tensor& tokens, const torch::Tensor& actions);

  // codes (B) int64 of the given slot, which must be the next one -> hidden (B, D).
  torch::Tensor PushCode(int64_t slot, const torch::Tensor& codes);
  // actions (B) int64, closes the step -> hidden (B, D).
  torch::Tensor PushAction(const torch::Tensor& actions);

  int64_t batch() const { return batch_; }
  int64_t steps() const { return position_ / layout_.positions_per_step(); }  // closed steps
  int64_t next_slot() const { return position_ % layout_.positions_per_step(); }
  int64_t capacity() const { return capacity_; }  // steps

 private:
  int64_t FineCodes() const { return layout_.code_slots() - layout_.places; }  // F, of a step
  torch::Tensor Push(const torch::Tensor& values);
  // Cache index of a position of an earlier step; negative where it is not kept.
  int64_t PlaceOfFiled(int64_t step, int64_t slot) const;
  // Moves the step just closed from the end of the cache to its final places.
  void FileClosedStep();

  WorldModel model_;
  TokenLayout layout_;
  layers::Precision precision_;
  int64_t batch_, capacity_;
  std::optional<layers::TransformerCache> cache_;
  int64_t middle_ = 0;          // cache index of L0 of step 0
  int64_t filed_per_step_ = 0;  // cache places right of the middle that an earlier step takes
  int64_t position_ = 0;        // next position
  int64_t filed_steps_ = 0;
};

}  // namespace hidreamer::world_model
