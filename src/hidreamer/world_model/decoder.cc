#include "hidreamer/world_model/decoder.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/decode_attention.h"
#include "hidreamer/training/device.h"

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
      capacity_(capacity > 0 ? capacity : model_->options().max_steps),
      head_width_(model_->options().width / model_->options().heads) {
  const WorldModelOptions& options = model_->options();
  HID_CHECK(capacity_ <= options.max_steps, "{} steps asked of a decoder, the model has {}",
            capacity_, options.max_steps);
  const bool causal = options.mask == MaskKind::kCausal;
  filed_per_step_ = causal ? layout_.positions_per_step() : layout_.places + 1;
  middle_ = options.mask == MaskKind::kReference ? capacity_ * FineCodes() : 0;
  const bool packs = precision == layers::Precision::kBf16 &&
                     layers::PackedTransformer::Can(model_->transformer());
  if (packs) {  // a panel of places begins there
    middle_ = layers::DecodeCache::PanelFrom(middle_);
  }
  const int64_t slots = middle_ + (capacity_ - 1) * filed_per_step_ + layout_.positions_per_step();
  const torch::Tensor& parameter = model_->final_norm()->weight;
  if (packs) {
    kernel_cache_.emplace(options.layers, batch_, options.heads, head_width_, slots);
    return;
  }
  cache_ = torch::zeros(
      {2, options.layers, batch_, options.heads, slots, head_width_},
      parameter.options().requires_grad(false).dtype(
          precision == layers::Precision::kBf16 ? torch::kBFloat16 : parameter.scalar_type()));
}

void Decoder::Reset() {
  position_ = 0;
  filed_steps_ = 0;
  packed_.reset();
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
  struct Move {
    int64_t from, to;
  };
  std::vector<Move> moves;  // in this order: a later one may take an earlier one's place
  for (int64_t slot = 1; slot < layout_.positions_per_step(); ++slot) {
    const int64_t place = PlaceOfFiled(filed_steps_, slot);
    if (place >= 0 && place != current + slot) {
      moves.push_back({current + slot, place});
    }
  }
  if (kernel_cache_.has_value()) {
    at::parallel_for(0, batch_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t layer = 0; layer < model_->options().layers; ++layer) {
          for (const Move& move : moves) {
            kernel_cache_->Move(layer, row, move.from, move.to);
          }
        }
      }
    });
  } else {
    for (const Move& move : moves) {
      cache_.select(4, move.to).copy_(cache_.select(4, move.from));
    }
  }
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
  if (kernel_cache_.has_value()) {
    Packed().Fill(*kernel_cache_, qkv, sources, places);
  } else {
    FillCache(qkv, sources, places);
  }
  position_ = positions;
  return hidden;
}

void Decoder::FillCache(const std::vector<torch::Tensor>& qkv, const std::vector<int64_t>& sources,
                        const std::vector<int64_t>& places) {
  auto& [source, place] = filled_[qkv.front().size(1)];
  if (!source.defined()) {  // kept: a recorded graph cannot fetch them from the host
    source = training::ToDevice(torch::tensor(sources, torch::kLong), cache_.device());
    place = training::ToDevice(torch::tensor(places, torch::kLong), cache_.device());
  }
  for (size_t layer = 0; layer < qkv.size(); ++layer) {
    const torch::Tensor kept = qkv[layer]
                                   .view({batch_, -1, 3, cache_.size(3), head_width_})
                                   .index_select(1, source)
                                   .permute({2, 0, 3, 1, 4})
                                   .narrow(0, 1, 2)
                                   .to(cache_.scalar_type());  // (2, B, heads, P', d)
    cache_.select(1, static_cast<int64_t>(layer)).index_copy_(3, place, kept);
  }
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
  const torch::Tensor hidden =
      kernel_cache_.has_value()
          ? Packed().Decode(x, *kernel_cache_,
                            std::vector<int64_t>(static_cast<size_t>(batch_), begin), place)
          : PushThroughModules(x, begin, place);
  if (was_training) {
    model_->train();
  }
  ++position_;
  return hidden;
}

torch::Tensor Decoder::PushThroughModules(torch::Tensor x, int64_t begin, int64_t place) {
  const layers::AutocastGuard autocast(x.device(), precision_);
  for (int64_t layer = 0; layer < model_->options().layers; ++layer) {
    layers::TransformerBlock block = model_->block(layer);
    const torch::Tensor qkv = block->ProjectNormed(x)
                                  .view({batch_, 3, -1, head_width_})
                                  .to(cache_.scalar_type());  // (B, 3, heads, d)
    cache_.select(1, layer).select(3, place).copy_(qkv.narrow(1, 1, 2).transpose(0, 1));
    const torch::Tensor attended = layers::DecodeAttention(qkv.select(1, 0), cache_[0][layer],
                                                           cache_[1][layer], begin, place + 1);
    x = block->Finish(x, attended);
  }
  return model_->final_norm()->forward(x);
}

const layers::PackedTransformer& Decoder::Packed() {
  if (packed_ == nullptr) {
    packed_ = model_->Packed();
  }
  return *packed_;
}

}  // namespace hidreamer::world_model
