#include "hidreamer/world_model/token_world.h"

#include <algorithm>
#include <utility>

#include "hidreamer/layers/precision.h"
#include "hidreamer/world_model/decoder.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kTokenFfnFactor = 4;  // hidden size of the feed-forward layers over D
constexpr int64_t kOutcomeFactor = 2;   // hidden size of reward and continue over D

WorldModelOptions TransformerOptions(const WorldOptions& options) {
  return {.layout = options.layout,
          .width = options.width,
          .layers = options.layers,
          .heads = options.heads,
          .ffn_width = kTokenFfnFactor * options.width,
          .dropout = 0,
          .max_steps = options.max_steps,
          .mask = MaskFromName(options.mask)};
}

WorldOptions OptionsOf(const WorldModelOptions& transformer, int64_t value_channels,
                       int64_t context, int64_t max_steps) {
  return {.kind = "token",
          .layout = transformer.layout,
          .value_channels = value_channels,
          .mask = MaskName(transformer.mask),
          .width = transformer.width,
          .layers = transformer.layers,
          .heads = transformer.heads,
          .context = context,
          .max_steps = std::min(max_steps, transformer.max_steps)};
}

// (B, T, P, L) -> (B, T, S), the whole frame coarsely, then finer.
torch::Tensor InSlots(const torch::Tensor& codes) { return codes.transpose(2, 3).flatten(2); }

// The steps from `begins` (B) on; those before are replaced by it, with action 0.
//   codes (B, T, S), actions (B, A), A at most T
NewestEpisode HeldStillBefore(const torch::Tensor& begins, const torch::Tensor& codes,
                              const torch::Tensor& actions) {
  const auto begin = begins.unsqueeze(1);  // (B, 1)
  const auto steps = torch::arange(codes.size(1), begins.options()).unsqueeze(0);
  const auto source = torch::maximum(steps, begin).unsqueeze(2).expand_as(codes);
  const auto held = steps.narrow(1, 0, actions.size(1)).lt(begin);
  return {.codes = codes.gather(1, source), .actions = actions.masked_fill(held, 0)};
}

// Of each window: which of its steps belong to its longest episode, the first of equals, (B, T).
torch::Tensor InLongestEpisode(const torch::Tensor& firsts) {
  const int64_t t = firsts.size(1);
  auto borders = firsts.to(torch::kLong);
  borders =
      torch::cat({torch::zeros_like(borders.narrow(1, 0, 1)), borders.narrow(1, 1, t - 1)}, 1);
  const auto episode = borders.cumsum(1);  // (B, T) in [0, T)
  const auto sizes =
      episode.unsqueeze(2).eq(torch::arange(t, episode.options())).sum(1);  // (B, T), by episode
  return episode.eq(sizes.argmax(1, /*keepdim=*/true));
}

}  // namespace

NewestEpisode ReadNewestEpisode(const Steps& steps) {
  const int64_t t = steps.length();
  const auto index = torch::arange(t, steps.previous_actions.options());
  const auto begins = (steps.firsts.to(torch::kLong) * index).amax(1);  // (B)
  // Within an episode, what led to a step is what was chosen at the one before.
  return HeldStillBefore(begins, InSlots(steps.codes), steps.previous_actions.narrow(1, 1, t - 1));
}

Steps StepsOfSlots(const TokenLayout& layout, const torch::Tensor& codes,
                   const torch::Tensor& actions, const ValuesOfCodes& values) {
  const int64_t b = codes.size(0), t = codes.size(1);
  const auto placed = codes.unflatten(2, {layout.levels, layout.places}).transpose(2, 3);
  return {.codes = placed,
          .values = values(placed.flatten(0, 1)).unflatten(0, {b, t}),
          .previous_actions = torch::constant_pad_nd(actions, {1, 0}, 0),
          .firsts = torch::zeros({b, t}, actions.options().dtype(torch::kBool))};
}

torch::Tensor NoValues(const torch::Tensor& codes) {
  return torch::zeros({codes.size(0), 1, 1, 1}, codes.options().dtype(torch::kFloat32));
}

TokenWorld::TokenWorld(const WorldOptions& options) : World(options) {
  const int64_t d = options.width;
  transformer_ = register_module("transformer", WorldModel(TransformerOptions(options)));
  outcome_ = register_module(
      "outcome_linear",
      torch::nn::Linear(codes_width() + (options.layout.levels + 1) * d, kOutcomeFactor * d));
  reward_ =
      register_module("outcome_reward", torch::nn::Linear(kOutcomeFactor * d, options.reward_bins));
  continue_ = register_module("outcome_continue", torch::nn::Linear(kOutcomeFactor * d, 1));
  outcomes_of_ = [this](const States& states, const torch::Tensor& action_hidden,
                        const torch::Tensor&) { return OwnOutcomes(states, action_hidden); };
  torch::NoGradGuard no_grad;
  reward_->weight.zero_();
  reward_->bias.zero_();
}

TokenWorld::TokenWorld(WorldModel transformer, int64_t value_channels, int64_t context,
                       int64_t max_steps, OutcomesOf outcomes)
    : World(OptionsOf(transformer->options(), value_channels, context, max_steps)),
      outcomes_of_(std::move(outcomes)) {
  transformer_ = register_module("transformer", std::move(transformer));
}

int64_t TokenWorld::codes_width() const {
  return options().value_channels * options().layout.places;
}

int64_t TokenWorld::hidden_width() const { return options().layout.levels * options().width; }

torch::Tensor TokenWorld::StateOf(const torch::Tensor& hidden) const {
  const TokenLayout& layout = options().layout;
  return hidden.unflatten(1, {layout.levels, layout.places})
      .select(2, layout.places - 1)
      .flatten(1)
      .to(torch::kFloat32);
}

Outcomes TokenWorld::OwnOutcomes(const States& states, const torch::Tensor& action_hidden) {
  const auto outcome =
      torch::relu(outcome_->forward(torch::cat({states.codes, states.hidden, action_hidden}, 1)));
  return {.rewards = reward_->forward(outcome).to(torch::kFloat32),
          .continues = continue_->forward(outcome).squeeze(-1).to(torch::kFloat32)};
}

std::vector<torch::Tensor> TokenWorld::MuonMatrices() const {
  std::vector<torch::Tensor> matrices;
  for (const auto& parameter : transformer_->named_parameters()) {
    if (parameter.key().starts_with("blocks") && parameter.value().dim() == 2) {
      matrices.push_back(parameter.value());
    }
  }
  return matrices;
}

States TokenWorld::Observe(const Steps& steps) {
  const int64_t b = steps.windows(), t = steps.length();
  const int64_t slots = options().layout.code_slots();
  const NewestEpisode episode = ReadNewestEpisode(steps);
  // One more action closes the last step, so that all steps are of one length.
  const auto hidden =
      transformer_->Hidden(episode.codes, torch::constant_pad_nd(episode.actions, {0, 1}, 0))
          .view({b * t, slots + 1, options().width})
          .narrow(1, 0, slots);
  return {.codes = steps.values.flatten(2), .hidden = StateOf(hidden).view({b, t, -1})};
}

Prediction TokenWorld::Predict(const Steps& steps, int64_t from) {
  const int64_t b = steps.windows(), t = steps.length(), d = options().width;
  const TokenLayout& layout = options().layout;
  const int64_t slots = layout.code_slots(), per_step = slots + 1;
  const auto known = InLongestEpisode(steps.firsts);
  const auto begins = known.to(torch::kLong).argmax(1);  // (B)
  const NewestEpisode episode = HeldStillBefore(begins, InSlots(steps.codes), steps.actions);
  const auto hidden = transformer_->Hidden(episode.codes, episode.actions);  // (B, T K, D)
  // Every code is predicted at the position before it.
  const auto before = hidden.narrow(1, from * per_step - 1, (t - from) * per_step)
                          .view({b, t - from, per_step, d})
                          .narrow(2, 0, slots);
  std::vector<torch::Tensor> codes;
  for (int64_t level = 0; level < layout.levels; ++level) {
    codes.push_back(
        transformer_->Logits(level, before.narrow(2, level * layout.places, layout.places))
            .to(torch::kFloat32));
  }
  const auto by_step = hidden.view({b * t, per_step, d});
  const auto state = StateOf(by_step.narrow(1, 0, slots));
  const Outcomes outcomes =
      outcomes_of_({.codes = steps.values.flatten(0, 1).flatten(1), .hidden = state},
                   by_step.select(1, slots).to(torch::kFloat32), episode.actions.flatten());
  return {.hidden = state.view({b, t, -1}),
          .codes = codes,
          .outcomes = {.rewards = outcomes.rewards.view({b, t, -1}),
                       .continues = outcomes.continues.view({b, t})},
          .known = known};
}

// Runs the transformer position by position: the action, then the next step's codes, coarse to
// fine.
class TokenRollout : public Rollout {
 public:
  TokenRollout(TokenWorld& world, const Steps& context, int64_t room, ValuesOfCodes values)
      : world_(world),
        values_of_(std::move(values)),
        decoder_(world.transformer_, context.windows(), context.length() + room,
                 layers::IsBf16Autocast(context.codes.device()) ? layers::Precision::kBf16
                                                                : layers::Precision::kF32) {
    Restart(context);
  }

  const States& states() const override { return states_; }
  const torch::Tensor& codes() const override { return codes_; }

  void Restart(const Steps& context) override {
    torch::NoGradGuard no_grad;
    const NewestEpisode episode = ReadNewestEpisode(context);
    const int64_t last = context.length() - 1;
    decoder_.Reset();
    const auto hidden = decoder_.Prefill(episode.codes, episode.actions).clone();  // (B, S, D)
    codes_ = context.codes.select(1, last);
    SetStates(context.values.select(1, last), hidden);
  }

  Outcomes Imagine(const torch::Tensor& actions, double temperature,
                   const torch::Tensor& uniforms) override {
    torch::NoGradGuard no_grad;
    const WorldOptions& options = world_.options();
    const torch::Tensor now = Slots(codes_);
    const torch::Tensor draws = temperature <= 0 ? torch::Tensor() : Slots(uniforms);
    const auto action_hidden = decoder_.PushAction(actions).clone();  // (B, D)
    const Outcomes outcomes =
        world_.outcomes_of_ == nullptr
            ? Outcomes{}
            : world_.outcomes_of_(states_, action_hidden.to(torch::kFloat32), actions);
    std::vector<torch::Tensor> codes, hidden = {action_hidden};
    for (int64_t slot = 0; slot < options.layout.code_slots(); ++slot) {
      const auto logits = world_.transformer_->Logits(options.layout.level_of(slot), hidden.back())
                              .to(torch::kFloat32);  // (B, V)
      codes.push_back(DrawCodes(logits, now.select(1, slot), options.changed_weight, temperature,
                                temperature <= 0 ? torch::Tensor() : draws.select(1, slot)));
      hidden.push_back(decoder_.PushCode(slot, codes.back()).clone());
    }
    codes_ = torch::stack(codes, 1)
                 .unflatten(1, {options.layout.levels, options.layout.places})
                 .transpose(1, 2);
    SetStates(values_of_(codes_), torch::stack(torch::TensorList(hidden).slice(1), 1));
    return outcomes;
  }

  void Follow(const torch::Tensor& actions, const torch::Tensor& codes,
              const torch::Tensor& values) override {
    torch::NoGradGuard no_grad;
    const torch::Tensor slots = Slots(codes);
    std::vector<torch::Tensor> hidden;
    decoder_.PushAction(actions);
    for (int64_t slot = 0; slot < slots.size(1); ++slot) {
      hidden.push_back(decoder_.PushCode(slot, slots.select(1, slot)).clone());
    }
    codes_ = codes;
    SetStates(values, torch::stack(hidden, 1));
  }

 private:
  // Of one step: (B, P, L) -> (B, S).
  static torch::Tensor Slots(const torch::Tensor& x) { return x.transpose(1, 2).flatten(1); }

  // values (B, C, G, G) of the newest step, hidden (B, S, D) at its codes.
  void SetStates(const torch::Tensor& values, const torch::Tensor& hidden) {
    states_ = {.codes = values.flatten(1), .hidden = world_.StateOf(hidden)};
  }

  TokenWorld& world_;
  ValuesOfCodes values_of_;
  Decoder decoder_;
  torch::Tensor codes_;
  States states_;
};

std::unique_ptr<Rollout> TokenWorld::Begin(const Steps& context, int64_t room,
                                           ValuesOfCodes values) {
  return std::make_unique<TokenRollout>(*this, context, room, std::move(values));
}

}  // namespace hidreamer::world_model
