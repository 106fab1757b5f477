#include "hidreamer/world_model/step_world.h"

#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/attention.h"

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

StepWorld::StepWorld(const WorldOptions& options) : World(options) {
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

std::vector<torch::Tensor> StepWorld::NewestGrids(const Steps& steps) const {
  const int64_t b = steps.values.size(0), t = steps.values.size(1);
  const auto first = steps.firsts.view({b, t, 1, 1, 1});
  std::vector<torch::Tensor> grids = {steps.values};
  while (static_cast<int64_t>(grids.size()) < local_frames()) {
    const auto& newer = grids.back();
    const auto older = torch::cat({newer.narrow(1, 0, 1), newer.narrow(1, 0, t - 1)}, 1);
    grids.push_back(torch::where(first, newer, older));
  }
  return grids;
}

torch::Tensor StepWorld::Local(const std::vector<torch::Tensor>& grids) {
  torch::Tensor x = grids.size() > 1 ? torch::cat(grids, 1) : grids[0];
  x = torch::relu(local_in_->forward(ChannelsLast(x)) + place_embedding_);
  for (auto& block : local_) {
    x = x + torch::relu(block->forward(x));
  }
  return x;
}

torch::Tensor StepWorld::Summary(const torch::Tensor& local) {
  return torch::relu(to_token_->forward(local)).flatten(1);
}

torch::Tensor StepWorld::Tokens(const torch::Tensor& summary, const torch::Tensor& actions,
                                const torch::Tensor& firsts, const torch::Tensor& positions) {
  const auto none = torch::full_like(actions, options().layout.actions);
  return token_->forward(summary) +
         action_embedding_->forward(torch::where(firsts, none, actions)) +
         step_embedding_->forward(positions);
}

StepWorld::Reading StepWorld::Read(const Steps& steps, std::vector<torch::Tensor>* projections) {
  const int64_t b = steps.values.size(0), t = steps.values.size(1);
  HID_CHECK(t <= options().max_steps, "{} steps of at most {}", t, options().max_steps);
  std::vector<torch::Tensor> grids = NewestGrids(steps);
  for (auto& grid : grids) {
    grid = grid.flatten(0, 1);
  }
  Reading reading;
  reading.local = Local(grids);
  reading.summary = Summary(reading.local);
  const auto positions = torch::arange(t, steps.previous_actions.options()).expand({b, t});
  const auto x = Tokens(reading.summary, steps.previous_actions.flatten(), steps.firsts.flatten(),
                        positions.flatten())
                     .view({b, t, options().width});
  reading.hidden = Transform(x, steps.firsts, projections);
  return reading;
}

States StepWorld::Observe(const Steps& steps) {
  const int64_t b = steps.values.size(0), t = steps.values.size(1);
  const Reading reading = Read(steps);
  return {.codes = torch::cat(
              {steps.values.flatten(2), reading.summary.to(torch::kFloat32).view({b, t, -1})}, 2),
          .hidden = reading.hidden};
}

Prediction StepWorld::Predict(const Steps& steps, int64_t from) {
  const int64_t b = steps.windows(), t = steps.length();
  const Reading reading = Read(steps);
  const Next next =
      AfterAction(reading.hidden.flatten(0, 1), reading.local, steps.actions.flatten());
  const auto places =
      next.places.view({b, t, next.places.size(1), grid_, grid_}).narrow(1, from - 1, t - from);
  std::vector<torch::Tensor> codes =
      Logits(places.flatten(0, 1), steps.codes.narrow(1, from, t - from).flatten(0, 1));
  for (torch::Tensor& level : codes) {
    level = level.view({b, t - from, level.size(1), level.size(2)});
  }
  return {.hidden = reading.hidden,
          .codes = codes,
          .outcomes = {.rewards = next.outcomes.rewards.view({b, t, -1}),
                       .continues = next.outcomes.continues.view({b, t})},
          .known = {}};
}

layers::TransformerParts StepWorld::transformer() const {
  return {.blocks = blocks_,
          .final_norm = norm_,
          .heads = options().heads,
          .hidden_width = kFfnFactor * options().width,
          .packed = packed_};
}

torch::Tensor StepWorld::Transform(torch::Tensor x, const torch::Tensor& firsts,
                                   std::vector<torch::Tensor>* projections) {
  const int64_t b = x.size(0), t = x.size(1), d = options().width, heads = options().heads;
  // A step sees itself and the earlier steps of its own episode.
  const auto episode = firsts.to(torch::kLong).cumsum(1);  // (B, T)
  const auto causal = torch::ones({t, t}, firsts.options()).tril();
  const auto allowed = episode.unsqueeze(2).eq(episode.unsqueeze(1)).logical_and(causal);
  if (const layers::TransformerParts parts = transformer();
      layers::PackedTransformer::Applies(parts)) {
    return layers::PackedTransformer::Of(parts)->Transform(
        x, layers::MakeAttentionPattern(allowed).additive, projections, 0);
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

StepWorld::Next StepWorld::AfterAction(const torch::Tensor& hidden, const torch::Tensor& local,
                                       const torch::Tensor& actions) {
  const int64_t n = hidden.size(0), k = options().channels;
  const auto state = hidden + chosen_action_->forward(actions);  // (N, D)
  const auto shifts = to_places_->forward(state).view({n, 2, k, 1, 1});
  auto x = ChannelsLast(local) * (1 + shifts.select(1, 0)) + shifts.select(1, 1);
  if (!options().local_path) {
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
          .outcomes = {.rewards = reward_->forward(outcome).to(torch::kFloat32),
                       .continues = continue_->forward(outcome).squeeze(-1).to(torch::kFloat32)}};
}

torch::Tensor StepWorld::Rows(const torch::Tensor& places) const {
  return places.permute({0, 2, 3, 1}).flatten(1, 2).contiguous();  // (N, P, K)
}

torch::Tensor StepWorld::LevelLogits(int64_t level, const torch::Tensor& rows,
                                     const std::vector<torch::Tensor>& coarser) {
  const auto l = static_cast<size_t>(level);
  torch::Tensor x = depth_in_[l]->forward(rows);  // (N, P, 64)
  for (size_t j = 0; j < depth_coarser_[l].size(); ++j) {
    x = x + depth_coarser_[l][j]->forward(coarser[j]);
  }
  return depth_out_[l]->forward(torch::relu(x)).to(torch::kFloat32);
}

std::vector<torch::Tensor> StepWorld::Logits(const torch::Tensor& places,
                                             const torch::Tensor& codes) {
  const auto rows = Rows(places);
  const auto coarser = codes.unbind(2);
  std::vector<torch::Tensor> logits;
  for (int64_t level = 0; level < options().layout.levels; ++level) {
    logits.push_back(LevelLogits(level, rows, coarser));
  }
  return logits;
}

torch::Tensor StepWorld::Sample(const torch::Tensor& places, const torch::Tensor& now,
                                double temperature, const torch::Tensor& uniforms) {
  torch::NoGradGuard no_grad;
  const auto rows = Rows(places);
  std::vector<torch::Tensor> codes;
  for (int64_t level = 0; level < options().layout.levels; ++level) {
    codes.push_back(DrawCodes(LevelLogits(level, rows, codes), now.select(2, level),
                              options().changed_weight, temperature,
                              temperature <= 0 ? torch::Tensor() : uniforms.select(2, level)));
  }
  return torch::stack(codes, 2);
}

std::vector<torch::Tensor> StepWorld::MuonMatrices() const {
  std::vector<torch::Tensor> matrices = {local_in_->weight};
  for (size_t i = 0; i < local_.size(); ++i) {
    matrices.insert(matrices.end(), {local_[i]->weight, after_[i]->weight});
  }
  for (const auto& layer : depth_in_) {
    matrices.push_back(layer->weight);
  }
  return matrices;
}

int64_t StepWorld::codes_width() const {
  return (options().value_channels + kTokenChannels) * options().layout.places;
}

// Runs a step world one step at a time, keeping keys and values.
class StepRollout : public Rollout {
 public:
  StepRollout(StepWorld& world, const Steps& context, int64_t room, ValuesOfCodes values);

  const States& states() const override { return states_; }
  const torch::Tensor& codes() const override { return codes_; }
  void Restart(const Steps& context) override;
  Outcomes Imagine(const torch::Tensor& actions, double temperature,
                   const torch::Tensor& uniforms) override;
  void Follow(const torch::Tensor& actions, const torch::Tensor& codes,
              const torch::Tensor& values) override;

 private:
  // Takes in the next step: values (B, C, G, G), and the action (B) that led to it.
  void Push(const torch::Tensor& values, const torch::Tensor& actions);

  StepWorld& world_;
  ValuesOfCodes values_of_;
  int64_t position_ = 0, room_;       // the next one, and how many there is room for
  std::vector<torch::Tensor> grids_;  // newest first, (B, C, G, G)
  torch::Tensor local_;               // (B, K, G, G)
  torch::Tensor codes_;
  States states_;
  std::optional<layers::TransformerCache> cache_;  // a step's place is its position
  torch::Tensor begins_;  // (B) int64, the first step of each dream's own episode
};

StepRollout::StepRollout(StepWorld& world, const Steps& context, int64_t room, ValuesOfCodes values)
    : world_(world), values_of_(std::move(values)), room_(context.length() + room) {
  Restart(context);
}

void StepRollout::Restart(const Steps& context) {
  torch::NoGradGuard no_grad;
  const int64_t b = context.windows(), read = context.length(), last = read - 1;
  position_ = read;
  std::vector<torch::Tensor> projections;
  const StepWorld::Reading reading = world_.Read(context, &projections);
  const auto newest = [&](const torch::Tensor& x) {
    return x.view({b, read, x.size(1), world_.grid_, world_.grid_}).select(1, last);
  };
  local_ = newest(reading.local);
  codes_ = context.codes.select(1, last);
  states_ = {
      .codes = torch::cat({context.values.select(1, last).flatten(1),
                           reading.summary.view({b, read, -1}).select(1, last).to(torch::kFloat32)},
                          1),
      .hidden = reading.hidden.select(1, last)};
  grids_.clear();
  for (const auto& grid : world_.NewestGrids(context)) {
    grids_.push_back(grid.select(1, last));
  }
  const auto episode = context.firsts.to(torch::kLong).cumsum(1);  // (B, T)
  const auto own = episode.eq(episode.narrow(1, last, 1));         // its steps are the last ones
  begins_ = read - own.sum(1);
  if (!cache_) {
    const auto device = context.values.device();
    cache_.emplace(
        world_.transformer(), b, room_,
        layers::IsBf16Autocast(device) ? layers::Precision::kBf16 : layers::Precision::kF32);
  }
  std::vector<int64_t> steps_read(static_cast<size_t>(read));
  std::iota(steps_read.begin(), steps_read.end(), 0);
  cache_->Reset();
  cache_->Fill(projections, steps_read, steps_read);
}

Outcomes StepRollout::Imagine(const torch::Tensor& actions, double temperature,
                              const torch::Tensor& uniforms) {
  torch::NoGradGuard no_grad;
  const StepWorld::Next next = world_.AfterAction(states_.hidden, local_, actions);
  codes_ = world_.Sample(next.places, codes_, temperature, uniforms);
  Push(values_of_(codes_), actions);
  return next.outcomes;
}

void StepRollout::Follow(const torch::Tensor& actions, const torch::Tensor& codes,
                         const torch::Tensor& values) {
  torch::NoGradGuard no_grad;
  codes_ = codes;
  Push(values, actions);
}

void StepRollout::Push(const torch::Tensor& values, const torch::Tensor& actions) {
  HID_CHECK(position_ < room_, "no room for another step");
  grids_.insert(grids_.begin(), values);
  grids_.pop_back();
  local_ = world_.Local(grids_);
  const auto summary = world_.Summary(local_);
  const auto x = world_.Tokens(summary, actions, torch::zeros_like(actions, torch::kBool),
                               torch::full_like(actions, position_));
  states_ = {.codes = torch::cat({values.flatten(1), summary.to(torch::kFloat32)}, 1),
             .hidden = cache_->Decode(x, begins_, position_)};
  ++position_;
}

std::unique_ptr<Rollout> StepWorld::Begin(const Steps& context, int64_t room,
                                          ValuesOfCodes values) {
  return std::make_unique<StepRollout>(*this, context, room, std::move(values));
}

}  // namespace hidreamer::world_model
