#include "hidreamer/world_model/step_model.h"

#include <cmath>
#include <numeric>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/attention.h"
#include "hidreamer/layers/categorical.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kTokenChannels = 8;    // of the local features, flattened into the step's token
constexpr int64_t kOutcomeChannels = 4;  // of the places, flattened for reward and continue
constexpr int64_t kDepthWidth = 64;      // hidden size of a place's level
constexpr int64_t kFfnFactor = 4;        // hidden size of the feed-forward layers over D

torch::nn::Conv2d Conv(int64_t in, int64_t out, int64_t kernel) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel).padding(kernel / 2));
}

torch::Tensor ChannelsLast(const torch::Tensor& x) {
  return x.contiguous(torch::MemoryFormat::ChannelsLast);
}

}  // namespace

StepModelImpl::StepModelImpl(const StepModelOptions& options) : options_(options) {
  const TokenLayout& layout = options.layout;
  grid_ = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(layout.places))));
  HID_CHECK(grid_ * grid_ == layout.places, "{} places are no square", layout.places);
  const int64_t k = options.channels, d = options.width;
  // Without the local path a place's features come from its own codes alone.
  const int64_t kernel = options.local_path ? 3 : 1;
  local_in_ = register_module("local_in", Conv(local_frames() * options.value_channels, k, kernel));
  place_embedding_ = register_parameter("local_places", torch::zeros({1, k, grid_, grid_}));
  torch::nn::init::normal_(place_embedding_, 0, 0.02);
  for (int64_t i = 0; i < options.local_blocks; ++i) {
    local_.push_back(register_module("local_" + std::to_string(i), Conv(k, k, kernel)));
    after_.push_back(register_module("after_" + std::to_string(i), Conv(k, k, kernel)));
  }
  to_token_ = register_module("token_grid", Conv(k, kTokenChannels, 1));
  token_ = register_module("token_linear", torch::nn::Linear(kTokenChannels * layout.places, d));
  action_embedding_ = register_module("token_action", torch::nn::Embedding(layout.actions + 1, d));
  step_embedding_ = register_module("token_step", torch::nn::Embedding(options.max_steps, d));
  torch::nn::init::normal_(action_embedding_->weight, 0, 0.1);
  torch::nn::init::normal_(step_embedding_->weight, 0, 0.02);
  for (int64_t i = 0; i < options.layers; ++i) {
    blocks_.push_back(
        register_module("blocks_" + std::to_string(i),
                        layers::TransformerBlock(d, options.heads, kFfnFactor * d, 0.0)));
  }
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({d})));

  chosen_action_ = register_module("after_action", torch::nn::Embedding(layout.actions, d));
  torch::nn::init::normal_(chosen_action_->weight, 0, 0.1);
  to_places_ = register_module("after_hidden", torch::nn::Linear(d, 2 * k));
  if (!options.local_path) {
    // The transformer alone has to say what each place will hold.
    wide_places_ = register_module("after_places", torch::nn::Linear(d, k * layout.places));
  }
  for (int64_t l = 0; l < layout.levels; ++l) {
    const std::string name = "depth_" + std::to_string(l);
    depth_in_.push_back(register_module(name + "_in", torch::nn::Linear(k, kDepthWidth)));
    depth_out_.push_back(
        register_module(name + "_out", torch::nn::Linear(kDepthWidth, layout.codes_of(l))));
    std::vector<torch::nn::Embedding> coarser;
    for (int64_t j = 0; options.depth_head && j < l; ++j) {
      coarser.push_back(register_module(name + "_code" + std::to_string(j),
                                        torch::nn::Embedding(layout.codes_of(j), kDepthWidth)));
      torch::nn::init::normal_(coarser.back()->weight, 0, 0.3);
    }
    depth_coarser_.push_back(coarser);
  }
  outcome_grid_ = register_module("outcome_grid", Conv(k, kOutcomeChannels, 1));
  outcome_ =
      register_module("outcome_linear", torch::nn::Linear(d + kOutcomeChannels * layout.places, d));
  reward_ = register_module("outcome_reward", torch::nn::Linear(d, options.reward_bins));
  continue_ = register_module("outcome_continue", torch::nn::Linear(d, 1));
  torch::NoGradGuard no_grad;
  reward_->weight.zero_();
  reward_->bias.zero_();
}

std::vector<torch::Tensor> StepModelImpl::NewestGrids(const StepInputs& inputs) const {
  const int64_t b = inputs.values.size(0), t = inputs.values.size(1);
  const auto first = inputs.first.view({b, t, 1, 1, 1});
  std::vector<torch::Tensor> grids = {inputs.values};
  while (static_cast<int64_t>(grids.size()) < local_frames()) {
    const auto& newer = grids.back();
    const auto older = torch::cat({newer.narrow(1, 0, 1), newer.narrow(1, 0, t - 1)}, 1);
    grids.push_back(torch::where(first, newer, older));
  }
  return grids;
}

torch::Tensor StepModelImpl::Local(const std::vector<torch::Tensor>& grids) {
  torch::Tensor x = grids.size() > 1 ? torch::cat(grids, 1) : grids[0];
  x = torch::relu(local_in_->forward(ChannelsLast(x)) + place_embedding_);
  for (auto& block : local_) {
    x = x + torch::relu(block->forward(x));
  }
  return x;
}

torch::Tensor StepModelImpl::GridFeatures(const torch::Tensor& local) {
  return torch::relu(to_token_->forward(local)).flatten(1);  // (N, 8 P)
}

torch::Tensor StepModelImpl::Tokens(const torch::Tensor& local, const torch::Tensor& actions,
                                    const torch::Tensor& first, const torch::Tensor& steps) {
  const auto none = torch::full_like(actions, options_.layout.actions);
  return token_->forward(GridFeatures(local)) +
         action_embedding_->forward(torch::where(first, none, actions)) +
         step_embedding_->forward(steps);
}

StepStates StepModelImpl::Observe(const StepInputs& inputs,
                                  std::vector<torch::Tensor>* projections) {
  const int64_t b = inputs.values.size(0), t = inputs.values.size(1);
  HID_CHECK(t <= options_.max_steps, "{} steps of at most {}", t, options_.max_steps);
  std::vector<torch::Tensor> grids = NewestGrids(inputs);
  for (auto& grid : grids) {
    grid = grid.flatten(0, 1);
  }
  const auto local = Local(grids);  // (B T, K, G, G)
  const auto steps = torch::arange(t, inputs.previous_actions.options()).expand({b, t});
  const auto x =
      Tokens(local, inputs.previous_actions.flatten(), inputs.first.flatten(), steps.flatten())
          .view({b, t, options_.width});
  return {.hidden = Transform(x, inputs.first, projections),
          .local = local.view({b, t, local.size(1), grid_, grid_})};
}

layers::TransformerParts StepModelImpl::transformer() const {
  return {.blocks = blocks_,
          .final_norm = norm_,
          .heads = options_.heads,
          .hidden_width = kFfnFactor * options_.width};
}

torch::Tensor StepModelImpl::Transform(torch::Tensor x, const torch::Tensor& first,
                                       std::vector<torch::Tensor>* projections) {
  const int64_t b = x.size(0), t = x.size(1), d = options_.width, heads = options_.heads;
  // A step sees itself and the earlier steps of its own episode.
  const auto episode = first.to(torch::kLong).cumsum(1);  // (B, T)
  const auto causal = torch::ones({t, t}, first.options()).tril();
  const auto allowed = episode.unsqueeze(2).eq(episode.unsqueeze(1)).logical_and(causal);
  if (const layers::TransformerParts parts = transformer();
      layers::PackedTransformer::Applies(parts)) {
    return layers::PackedTransformer::Of(parts, packed_)
        ->Transform(x, layers::MakeAttentionPattern(allowed).additive, projections, 0);
  }
  for (auto& block : blocks_) {
    const auto projected = block->ProjectNormed(x);  // (B, T, 3 D)
    if (projections != nullptr) {
      projections->push_back(projected);
    }
    const auto qkv = projected.view({b, t, 3, heads, d / heads}).permute({2, 0, 3, 1, 4});
    const auto attended = layers::Attention(qkv[0], qkv[1], qkv[2], allowed.unsqueeze(1));
    x = block->Finish(x, attended.transpose(1, 2).reshape({b, t, d}));
  }
  return norm_->forward(x.to(torch::kFloat32));
}

StepOutcome StepModelImpl::Foretell(const torch::Tensor& hidden, const torch::Tensor& local,
                                    const torch::Tensor& actions) {
  const int64_t n = hidden.size(0), k = options_.channels;
  const auto state = hidden + chosen_action_->forward(actions);  // (N, D)
  const auto shifts = to_places_->forward(state).view({n, 2, k, 1, 1});
  auto x = ChannelsLast(local) * (1 + shifts.select(1, 0)) + shifts.select(1, 1);
  if (!options_.local_path) {
    x = x + wide_places_->forward(state).view({n, k, grid_, grid_});
  }
  x = ChannelsLast(torch::relu(x));
  for (auto& block : after_) {
    x = x + torch::relu(block->forward(x));
  }
  const auto seen = torch::relu(outcome_grid_->forward(x)).flatten(1);  // (N, 4 P)
  const auto outcome =
      torch::relu(outcome_->forward(torch::cat({state, seen.to(state.dtype())}, 1)));
  return {.places = x,
          .reward = reward_->forward(outcome).to(torch::kFloat32),
          .continues = continue_->forward(outcome).squeeze(-1).to(torch::kFloat32)};
}

torch::Tensor StepModelImpl::Rows(const torch::Tensor& places) const {
  return places.permute({0, 2, 3, 1}).flatten(1, 2).contiguous();  // (N, P, K)
}

torch::Tensor StepModelImpl::LevelLogits(int64_t level, const torch::Tensor& rows,
                                         const std::vector<torch::Tensor>& coarser) {
  const auto l = static_cast<size_t>(level);
  torch::Tensor x = depth_in_[l]->forward(rows);  // (N, P, 64)
  for (size_t j = 0; j < depth_coarser_[l].size(); ++j) {
    x = x + depth_coarser_[l][j]->forward(coarser[j]);
  }
  return depth_out_[l]->forward(torch::relu(x)).to(torch::kFloat32);
}

std::vector<torch::Tensor> StepModelImpl::Logits(const torch::Tensor& places,
                                                 const torch::Tensor& codes) {
  const auto rows = Rows(places);
  const auto coarser = codes.unbind(2);
  std::vector<torch::Tensor> logits;
  for (int64_t level = 0; level < options_.layout.levels; ++level) {
    logits.push_back(LevelLogits(level, rows, coarser));
  }
  return logits;
}

torch::Tensor StepModelImpl::Sample(const torch::Tensor& places, const torch::Tensor& now,
                                    double temperature, const torch::Tensor& uniforms) {
  torch::NoGradGuard no_grad;
  const auto rows = Rows(places);
  std::vector<torch::Tensor> codes;
  for (int64_t level = 0; level < options_.layout.levels; ++level) {
    torch::Tensor logits = LevelLogits(level, rows, codes);  // (N, P, V)
    if (options_.changed_weight != 1) {
      const auto stays = now.select(2, level).unsqueeze(2);
      logits = logits.scatter_add(
          2, stays,
          torch::full(stays.sizes(), std::log(options_.changed_weight), logits.options()));
    }
    if (temperature <= 0) {
      codes.push_back(logits.argmax(-1));
      continue;
    }
    codes.push_back(layers::CategoryOfLogits(logits, temperature, uniforms.select(2, level)));
  }
  return torch::stack(codes, 2);
}

torch::Tensor StepModelImpl::Features(const torch::Tensor& values, const torch::Tensor& hidden,
                                      const torch::Tensor& local) {
  return torch::cat({values.flatten(1), GridFeatures(local).to(torch::kFloat32), hidden}, 1);
}

std::vector<torch::Tensor> StepModelImpl::LocalMatrices() const {
  std::vector<torch::Tensor> matrices = {local_in_->weight};
  for (size_t i = 0; i < local_.size(); ++i) {
    matrices.insert(matrices.end(), {local_[i]->weight, after_[i]->weight});
  }
  for (const auto& layer : depth_in_) {
    matrices.push_back(layer->weight);
  }
  return matrices;
}

int64_t StepModelImpl::feature_width() const {
  return (options_.value_channels + kTokenChannels) * options_.layout.places + options_.width;
}

StepDecoder::StepDecoder(StepModel model, const StepInputs& context, int64_t steps)
    : model_(std::move(model)), position_(context.values.size(1)), places_(position_ + steps) {
  torch::NoGradGuard no_grad;
  const int64_t b = context.values.size(0), read = position_;
  std::vector<torch::Tensor> projections;
  const StepStates states = model_->Observe(context, &projections);
  hidden_ = states.hidden.select(1, read - 1);
  local_ = states.local.select(1, read - 1);
  for (const auto& grid : model_->NewestGrids(context)) {
    grids_.push_back(grid.select(1, read - 1));
  }
  const auto episode = context.first.to(torch::kLong).cumsum(1);  // (B, T)
  const auto own = episode.eq(episode.narrow(1, read - 1, 1));    // its steps are the last ones
  const StepModelOptions& options = model_->options_;
  if (const layers::TransformerParts parts = model_->transformer();
      layers::PackedTransformer::Applies(parts)) {
    packed_ = layers::PackedTransformer::Of(parts, model_->packed_);
    kernel_cache_.emplace(options.layers, b, options.heads, options.width / options.heads, places_);
    std::vector<int64_t> steps_read(static_cast<size_t>(read));
    std::iota(steps_read.begin(), steps_read.end(), 0);
    packed_->Fill(*kernel_cache_, projections, steps_read, steps_read);
    const auto begins = (read - own.sum(1)).contiguous();
    begins_.assign(begins.data_ptr<int64_t>(), begins.data_ptr<int64_t>() + b);
    return;
  }
  visible_ = torch::ones({b, 1, 1, places_}, context.first.options());
  visible_.narrow(3, 0, read).copy_(own.view({b, 1, 1, read}));
  for (const auto& projected : projections) {
    const auto qkv = projected.view({b, read, 3, options.heads, -1}).permute({2, 0, 3, 1, 4});
    for (auto [cache, source] : {std::pair{&keys_, 1}, std::pair{&values_cache_, 2}}) {
      const auto part = qkv[source];  // (B, heads, T, d)
      cache->push_back(torch::empty({b, part.size(1), places_, part.size(3)}, part.options()));
      cache->back().narrow(2, 0, read).copy_(part);
    }
  }
}

void StepDecoder::Push(const torch::Tensor& values, const torch::Tensor& actions) {
  torch::NoGradGuard no_grad;
  HID_CHECK(position_ < places_, "no room for another step");
  grids_.insert(grids_.begin(), values);
  grids_.pop_back();
  local_ = model_->Local(grids_);
  const auto x = model_->Tokens(local_, actions, torch::zeros_like(actions, torch::kBool),
                                torch::full_like(actions, position_));
  hidden_ = packed_ != nullptr ? packed_->Decode(x, *kernel_cache_, begins_, position_)
                               : PushThroughModules(x);
  ++position_;
}

torch::Tensor StepDecoder::PushThroughModules(torch::Tensor x) {
  const int64_t b = x.size(0), d = model_->options_.width, heads = model_->options_.heads;
  const int64_t seen = position_ + 1;
  const auto allowed = visible_.narrow(3, 0, seen);
  for (size_t i = 0; i < keys_.size(); ++i) {
    auto& block = model_->blocks_[i];
    const auto qkv = block->ProjectNormed(x).view({b, 3, heads, 1, d / heads});
    keys_[i].narrow(2, position_, 1).copy_(qkv.select(1, 1));
    values_cache_[i].narrow(2, position_, 1).copy_(qkv.select(1, 2));
    const auto attended =
        layers::Attention(qkv.select(1, 0).to(keys_[i].dtype()), keys_[i].narrow(2, 0, seen),
                          values_cache_[i].narrow(2, 0, seen), allowed);
    x = block->Finish(x, attended.reshape({b, d}));
  }
  return model_->norm_->forward(x.to(torch::kFloat32));
}

}  // namespace hidreamer::world_model
