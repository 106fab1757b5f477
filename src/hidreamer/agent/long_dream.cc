#include "hidreamer/agent/long_dream.h"

#include <utility>

#include "hidreamer/imagination/dreams.h"

namespace hidreamer::agent {

LongDream::LongDream(std::shared_ptr<imagination::Agent> agent,
                     const world_model::Steps& beginnings)
    : agent_(std::move(agent)),
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
    const auto& world = agent_->world().options();
    left_ = world.max_steps - world.context;
    rollout_ = agent_->world().Begin(history_, left_, agent_->ValuesOfCodes());
  }
  return *rollout_;
}

void LongDream::Replace(const torch::Tensor& codes) {
  torch::NoGradGuard no_grad;
  const int64_t newest = history_.length() - 1;
  history_.codes = history_.codes.clone();
  history_.values = history_.values.clone();
  history_.codes.select(1, newest).copy_(codes);
  history_.values.select(1, newest).copy_(agent_->ValuesOfCodes()(codes));
  rollout_.reset();
}

LongDream::Step LongDream::Play(const torch::Tensor& actions, double temperature, Rng& rng) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, agent_->precision());
  const auto& layout = agent_->world().options().layout;
  const torch::Tensor uniforms =
      imagination::Uniforms({dreams(), layout.places, layout.levels}, rng);
  world_model::Rollout& now = Now();
  const world_model::Outcomes outcomes = now.Imagine(actions, temperature, uniforms);
  history_ = history_
                 .FollowedBy({.codes = now.codes().unsqueeze(1),
                              .values = agent_->ValuesOfCodes()(now.codes()).unsqueeze(1),
                              .previous_actions = actions.unsqueeze(1),
                              .firsts = torch::zeros({dreams(), 1}, torch::kBool)})
                 .Between(1, history_.length() + 1);
  if (--left_ == 0) {
    rollout_.reset();
  }
  return {.rewards = agent_->networks().scalars().Value(outcomes.rewards),
          .continues = torch::sigmoid(outcomes.continues)};
}

torch::Tensor LongDream::codes() const { return history_.codes.select(1, history_.length() - 1); }

torch::Tensor LongDream::values() const { return history_.values.select(1, history_.length() - 1); }

torch::Tensor LongDream::Features() {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(torch::kCPU, agent_->precision());
  return agent_->Features(Now().states());
}

}  // namespace hidreamer::agent
