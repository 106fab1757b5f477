#include "hidreamer/world_model/decoder.h"

#include <algorithm>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {

// Cache indices, with M = middle_, F = P (L - 1) fine codes a step, s = number of closed and filed
// steps:
//   under kReference
//     fine code f of step i   M - 1 - (i F + f)
//     L0 of place p of i      M + (P + 1) i + p
//     ACTION of i             M + (P + 1) i + P
//   under kStrict             the same without the part left of M
//   under kCausal             position p at p (M = 0)
// The current step lies at M + (P + 1) s, … in its own order, and is filed when the next
// begins.
Decoder::Decoder(WorldModel model, int64_t batch, int64_t capacity, layers::Precision precision)
    : model_(std::move(model)),
      layout_(model_->options().layout),
      precision_(precision),
      batch_(batch),
      capacity_(capacity > 0 ? capacity : model_->options().max_steps) {
  const WorldModelOptions& options = model_->options();
  HID_CHECK(capacity_ <= options.max_steps, "{} steps asked of a decoder, the model has {}",
            capacity_, options.max_steps);
  const bool causal = options.mask == MaskKind::kCausal;
  filed_per_step_ = causal ? layout_.positions_per_step() : layout_.places + 1;
  middle_ = options.mask == MaskKind::kReference ? capacity_ * FineCodes() : 0;
  const layers::TransformerParts transformer = model_->transformer();
  middle_ = layers::TransformerCache::BeginFrom(transformer, precision, middle_);
  const int64_t places = middle_ + (capacity_ - 1) * filed_per_step_ + layout_.positions_per_step();
  cache_.emplace(transformer, batch_, places, precision);
}

void Decoder::Reset() {
  position_ = 0;
  filed_steps_ = 0;
  cache_->Reset();
}

int64_t Decoder::PlaceOfFiled(int64_t step, int64_t slot) const {
  if (filed_per_step_ == layout_.positions_per_step()) {
    return middle_ + step * filed_per_step_ + slot;
  }
  if (slot < layout_.places || slot == layout_.action_slot()) {
    return middle_ + filed_per_step_ * step + std::min(slot, layout_.places);
  }
  return middle_ - 1 - (step * FineCodes() + slot - layout_.places);  // below 0: dropped (kStrict)
}

void Decoder::FileClosedStep() {
  const int64_t current = middle_ + filed_steps_ * filed_per_step_;
  // In this order: a later one may take an earlier one's place.
  std::vector<std::pair<int64_t, int64_t>> moves;
  for (int64_t slot = 1; slot < layout_.positions_per_step(); ++slot) {
    const int64_t place = PlaceOfFiled(filed_steps_, slot);
    if (place >= 0 && place != current + slot) {
      moves.emplace_back(current + slot, place);
    }
  }
  cache_->Move(moves);
  ++filed_steps_;
}

torch::Tensor Decoder::Prefill(const torch::Tensor& tokens, const torch::Tensor& actions) {
  const torch::NoGradGuard no_grad;
  const bool was_training = model_->is_training();
  HID_CHECK(position_ == 0, "prefill after {} positions", position_);
  HID_CHECK(tokens.size(0) == batch_ && tokens.size(1) <= capacity_,
            "prefill of ({}, {}) steps into a decoder of ({}, {})", tokens.size(0), tokens.size(1),
            batch_, capacity_);
  // The last step stays in the order of a current step, earlier ones are filed.
  const int64_t per_step = layout_.positions_per_step();
  filed_steps_ = tokens.size(1) - 1;
  if (was_training) {  // threads that share a model in evaluation mode do not write to it
    model_->eval();
  }
  std::vector<torch::Tensor> qkv;  // layers x (B, P, 3 D)
  const torch::Tensor hidden = [&] {
    const layers::AutocastGuard autocast(tokens.device(), precision_);
    return model_->Hidden(tokens, actions, &qkv, filed_steps_ * per_step);
  }();
  if (was_training) {
    model_->train();
  }

  const int64_t positions = filed_steps_ * per_step + hidden.size(1);
  std::vector<int64_t> sources, places;
  for (int64_t p = 0; p < positions; ++p) {
    const int64_t step = p / per_step, slot = p % per_step;
    const int64_t place = step < filed_steps_ ? PlaceOfFiled(step, slot)
                                              : middle_ + filed_steps_ * filed_per_step_ + slot;
    if (place >= 0) {
      sources.push_back(p);
      places.push_back(place);
    }
  }
  cache_->Fill(qkv, sources, places);
  position_ = positions;
  return hidden;
}

torch::Tensor Decoder::PushCode(int64_t slot, const torch::Tensor& codes) {
  HID_CHECK(slot >= 0 && slot < layout_.code_slots() && slot == next_slot(),
            "code of slot {} pushed where slot {} is next", slot, next_slot());
  return Push(codes);
}

torch::Tensor Decoder::PushAction(const torch::Tensor& actions) {
  HID_CHECK(next_slot() == layout_.action_slot(), "action pushed where slot {} is next",
            next_slot());
  return Push(actions);
}

torch::Tensor Decoder::Push(const torch::Tensor& values) {
  const torch::NoGradGuard no_grad;
  HID_CHECK(values.dim() == 1 && values.size(0) == batch_, "{} values for a batch of {}",
            values.numel(), batch_);
  const int64_t per_step = layout_.positions_per_step();
  const int64_t slot = position_ % per_step, step = position_ / per_step;
  HID_CHECK(step < capacity_, "the decoder is full ({} steps)", capacity_);
  if (slot == 0 && step > filed_steps_) {
    FileClosedStep();
  }
  const int64_t place = middle_ + filed_steps_ * filed_per_step_ + slot;
  // Under kReference an L0 query reads the fine codes left of the middle, too.
  const bool reads_fine = slot < layout_.places && middle_ > 0;
  const int64_t begin = reads_fine ? middle_ - filed_steps_ * FineCodes() : middle_;

  const bool was_training = model_->is_training();
  if (was_training) {
    model_->eval();
  }
  const torch::Tensor x = model_->embedding()->EmbedPosition(values, slot, position_);  // (B, D)
  torch::Tensor hidden = cache_->Decode(x, begin, place);
  if (was_training) {
    model_->train();
  }
  ++position_;
  return hidden;
}

}  // namespace hidreamer::world_model
