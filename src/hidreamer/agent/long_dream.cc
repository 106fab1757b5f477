#include "hidreamer/agent/long_dream.h"

#include <utility>

#include "hidreamer/agent/dreams.h"

namespace hidreamer::agent {

LongDream::LongDream(AgentModels models, const world_model::Steps& beginnings)
    : models_(std::move(models)),
      precision_(PrecisionOf(models_->options())),
      history_{.codes = beginnings.codes,
               .values = beginnings.values,
               .previous_actions = beginnings.previous_actions,
               .firsts = beginnings.firsts} {}

void LongDream::BeginAnew(int64_t i, const world_model::Steps& beginnings, int64_t from) {
  torch::NoGradGuard no_grad;
  const auto replace = [&](torch::Tensor& all, const torch::Tensor& those) {
    all = all.clone();
    all[i].copy_(those[from]);
  };
  replace(history_.codes, beginnings.codes);
  replace(history_.values, beginnings.values);
  replace(history_.previous_actions, beginnings.previous_actions);
  replace(history_.firsts, beginnings.firsts);
  rollout_.reset();
}

world_model::Rollout& LongDream::Now() {
  if (!rollout_) {
    const auto& world = models_->options().world_model;
    left_ = world.max_steps - world.context;
    rollout_ = models_->world_model->Begin(history_, left_, models_->ValuesOfCodes());
  }
  return *rollout_;
}

LongDream::Step LongDream::Play(const torch::Tensor& actions, double temperature, Rng& rng) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, precision_);
  const auto& layout = models_->options().world_model.layout;
  const torch::Tensor uniforms = Uniforms({dreams(), layout.places, layout.levels}, rng);
  world_model::Rollout& now = Now();
  const world_model::Outcomes outcomes = now.Imagine(actions, temperature, uniforms);
  history_ = history_
                 .FollowedBy({.codes = now.codes().unsqueeze(1),
                              .values = models_->tokenizer->Values(now.codes()).unsqueeze(1),
                              .previous_actions = actions.unsqueeze(1),
                              .firsts = torch::zeros({dreams(), 1}, torch::kBool)})
                 .Between(1, history_.length() + 1);
  if (--left_ == 0) {
    rollout_.reset();
  }
  return {.rewards = models_->scalars().Value(outcomes.rewards),
          .continues = torch::sigmoid(outcomes.continues)};
}

torch::Tensor LongDream::codes() const { return history_.codes.select(1, history_.length() - 1); }

torch::Tensor LongDream::values() const { return history_.values.select(1, history_.length() - 1); }

torch::Tensor LongDream::Features() {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, precision_);
  return models_->Features(Now().states());
}

torch::Tensor PicturesOf(AgentModels models, const torch::Tensor& values) {
  torch::NoGradGuard no_grad;
  return models->tokenizer->Decode(values)
      .clamp(0, 1)
      .mul(255)
      .round()
      .to(torch::kUInt8)
      .squeeze(1);
}

}  // namespace hidreamer::agent
