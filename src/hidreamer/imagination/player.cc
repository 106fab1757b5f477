#include "hidreamer/imagination/player.h"

#include <algorithm>
#include <utility>

#include "hidreamer/policy/action_distribution.h"

namespace hidreamer::imagination {

Player::Player(std::shared_ptr<Agent> agent, double temperature)
    : agent_(std::move(agent)), temperature_(temperature), histories_(agent_) {}

torch::Tensor Player::Probabilities(const Tensors& games) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  const world_model::Steps windows = histories_.Windows(games);
  const torch::Tensor features = agent_->Features(agent_->world().Observe(windows));
  return agent_->networks().Policy(features.select(1, windows.length() - 1)).probabilities();
}

torch::Tensor Player::FollowedProbabilities(const Tensors& games, const std::vector<int>& slots,
                                            bool any_first) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  const world_model::Steps windows = histories_.Windows(games);
  if (slots == followed_ && left_ > 0 && !any_first) {
    const auto newest = [&](const torch::Tensor& x) { return x.select(1, windows.length() - 1); };
    rollout_->Follow(newest(windows.previous_actions), newest(windows.codes),
                     newest(windows.values));
    --left_;
  } else {
    left_ = agent_->world().followed_steps();
    if (rollout_ != nullptr && slots.size() == followed_.size()) {
      rollout_->Restart(windows);
    } else {
      rollout_ = agent_->world().Begin(windows, left_, agent_->ValuesOfCodes());
    }
    followed_ = slots;
  }
  return agent_->networks().Policy(agent_->Features(rollout_->states())).probabilities();
}

std::vector<int> Player::Act(const std::vector<env::PlayerView>& views, std::vector<Rng>& rngs) {
  if (views.empty()) {
    return {};
  }
  const Tensors games = histories_.GoOn(views);
  std::vector<int> slots;
  std::vector<float> uniforms;
  bool any_first = false;
  for (const env::PlayerView& view : views) {
    slots.push_back(view.slot);
    uniforms.push_back(static_cast<float>(rngs[static_cast<size_t>(view.slot)].Uniform()));
    any_first = any_first || view.first;
  }
  torch::Tensor probabilities;
  if (agent_->world().followed_steps() > 0) {
    probabilities = FollowedProbabilities(games, slots, any_first);
  } else {
    if (version_ != histories_.version()) {
      version_ = histories_.version();
      work_ = std::make_unique<training::CapturedGraph>(
          [this](const Tensors& inputs) -> Tensors { return {Probabilities(inputs)}; });
    }
    usual_games_ = usual_games_ == 0 ? views.size() : usual_games_;
    probabilities = (views.size() == usual_games_ ? work_->Run(games) : work_->Call(games))[0];
  }
  const torch::Tensor chosen =
      policy::ChooseActions(probabilities.to(torch::kCPU), temperature_, torch::tensor(uniforms))
          .contiguous();
  const auto* const first = chosen.data_ptr<int64_t>();
  for (size_t i = 0; i < views.size(); ++i) {
    histories_.Acted(views[i].slot, first[i]);
  }
  return {first, first + views.size()};
}

void Player::Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
                    const std::vector<int64_t>& last_actions) {
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  histories_.Recall(windows, frames, last_actions);
  left_ = 0;
}

}  // namespace hidreamer::imagination
