#include "hidreamer/layers/transformer_cache.h"

#include <ATen/Parallel.h>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/decode_attention.h"
#include "hidreamer/training/device.h"

namespace hidreamer::layers {
namespace {

bool Packs(const TransformerParts& transformer, Precision precision) {
  return precision == Precision::kBf16 && PackedTransformer::Can(transformer);
}

}  // namespace

TransformerCache::TransformerCache(TransformerParts transformer, int64_t batch, int64_t places,
                                   Precision precision)
    : transformer_(std::move(transformer)), batch_(batch), precision_(precision) {
  const torch::Tensor weight = transformer_.final_norm->weight;
  const auto layers = std::ssize(transformer_.blocks);
  head_width_ = weight.size(0) / transformer_.heads;
  if (Packs(transformer_, precision)) {
    kernel_cache_.emplace(layers, batch, transformer_.heads, head_width_, places);
    return;
  }
  cache_ =
      torch::zeros({2, layers, batch, transformer_.heads, places, head_width_},
                   weight.options().requires_grad(false).dtype(
                       precision == Precision::kBf16 ? torch::kBFloat16 : weight.scalar_type()));
}

int64_t TransformerCache::BeginFrom(const TransformerParts& transformer, Precision precision,
                                    int64_t place) {
  return Packs(transformer, precision) ? DecodeCache::PanelFrom(place) : place;
}

const PackedTransformer& TransformerCache::Packed() {
  if (packed_ == nullptr) {
    packed_ = PackedTransformer::Of(transformer_);
  }
  return *packed_;
}

void TransformerCache::Fill(const std::vector<torch::Tensor>& qkv,
                            const std::vector<int64_t>& sources,
                            const std::vector<int64_t>& places) {
  if (kernel_cache_.has_value()) {
    Packed().Fill(*kernel_cache_, qkv, sources, places);
    return;
  }
  auto& [source, place] = filled_[{qkv.front().size(1), places.back()}];
  if (!source.defined()) {  // kept: a recorded graph cannot fetch them from the host
    source = training::ToDevice(torch::tensor(sources, torch::kLong), cache_.device());
    place = training::ToDevice(torch::tensor(places, torch::kLong), cache_.device());
  }
  for (size_t layer = 0; layer < qkv.size(); ++layer) {
    const torch::Tensor kept = qkv[layer]
                                   .view({batch_, -1, 3, transformer_.heads, head_width_})
                                   .index_select(1, source)
                                   .permute({2, 0, 3, 1, 4})
                                   .narrow(0, 1, 2)
                                   .to(cache_.scalar_type());  // (2, B, heads, P', d)
    cache_.select(1, static_cast<int64_t>(layer)).index_copy_(3, place, kept);
  }
}

torch::Tensor TransformerCache::Decode(const torch::Tensor& x, int64_t begin, int64_t place) {
  if (kernel_cache_.has_value()) {
    const std::vector<int64_t> begins(static_cast<size_t>(batch_), begin);
    return Packed().Decode(x, *kernel_cache_, begins, place);
  }
  return DecodeThroughModules(
      x, place,
      [&](const torch::Tensor& q, const torch::Tensor& keys, const torch::Tensor& values) {
        return DecodeAttention(q, keys, values, begin, place + 1);
      });
}

torch::Tensor TransformerCache::Decode(const torch::Tensor& x, const torch::Tensor& begins,
                                       int64_t place) {
  HID_CHECK(begins.numel() == batch_, "{} begins of {} sequences", begins.numel(), batch_);
  if (kernel_cache_.has_value()) {
    const torch::Tensor of_rows = begins.contiguous();
    const auto* const from = of_rows.data_ptr<int64_t>();
    return Packed().Decode(x, *kernel_cache_, {from, from + batch_}, place);
  }
  return DecodeThroughModules(
      x, place,
      [&](const torch::Tensor& q, const torch::Tensor& keys, const torch::Tensor& values) {
        return DecodeAttention(q, keys, values, begins, place + 1);
      });
}

template <class Attend>
torch::Tensor TransformerCache::DecodeThroughModules(torch::Tensor x, int64_t place,
                                                     const Attend& attend) {
  const torch::NoGradGuard no_grad;
  const AutocastGuard autocast(x.device(), precision_);
  for (size_t i = 0; i < transformer_.blocks.size(); ++i) {
    TransformerBlock& block = transformer_.blocks[i];
    const auto layer = static_cast<int64_t>(i);
    const torch::Tensor qkv = block->ProjectNormed(x)
                                  .view({batch_, 3, -1, head_width_})
                                  .to(cache_.scalar_type());  // (B, 3, heads, d)
    cache_.select(1, layer).select(3, place).copy_(qkv.narrow(1, 1, 2).transpose(0, 1));
    x = block->Finish(x, attend(qkv.select(1, 0), cache_[0][layer], cache_[1][layer]));
  }
  return transformer_.final_norm->forward(x.to(torch::kFloat32));
}

void TransformerCache::Move(const std::vector<std::pair<int64_t, int64_t>>& moves) {
  if (!kernel_cache_.has_value()) {
    for (const auto& [from, to] : moves) {
      cache_.select(4, to).copy_(cache_.select(4, from));
    }
    return;
  }
  at::parallel_for(0, batch_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t layer = 0; layer < std::ssize(transformer_.blocks); ++layer) {
        for (const auto& [from, to] : moves) {
          kernel_cache_->Move(layer, row, from, to);
        }
      }
    }
  });
}

}  // namespace hidreamer::layers
