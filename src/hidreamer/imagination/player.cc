#include "hidreamer/imagination/player.h"

#include <algorithm>

#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/training/device.h"

namespace hidreamer::imagination {

Player::Player(std::shared_ptr<Agent> agent, double temperature)
    : agent_(std::move(agent)),
      temperature_(temperature),
      context_(agent_->world().options().context) {}

void Player::Reserve(int64_t count) {
  if (codes_.defined() && codes_.size(0) >= count) {
    return;
  }
  const auto grow = [&](torch::Tensor& kept, const torch::Tensor& like) {
    std::vector<int64_t> shape = like.sizes().vec();
    shape[0] = context_ - 1;
    shape.insert(shape.begin(), count);
    const auto larger = torch::zeros(shape, like.options());
    if (kept.defined()) {
      larger.narrow(0, 0, kept.size(0)).copy_(kept);
    }
    kept = larger;
  };
  const auto& layout = agent_->world().options().layout;
  const auto codes = torch::zeros({1, layout.places, layout.levels},
                                  torch::TensorOptions(agent_->device()).dtype(torch::kLong));
  grow(codes_, codes);
  grow(values_, agent_->ValuesOfCodes()(codes));
  work_ = std::make_unique<training::CapturedGraph>(
      [this](const Tensors& inputs) -> Tensors { return {Probabilities(inputs)}; });
}

world_model::Steps Player::Windows(const Tensors& inputs) {
  const torch::Tensor &frames = inputs[0], &slots = inputs[1], &fresh = inputs[2];
  const Agent::Sight seen = agent_->See(frames);
  // The remembered steps and this one. Before its start a game is taken to have stood still.
  const auto window = [&](torch::Tensor& kept, const torch::Tensor& encoded) {
    const auto now = encoded.unsqueeze(1);  // (N, 1, …)
    std::vector<int64_t> shape(static_cast<size_t>(kept.dim()), 1);
    shape[0] = -1;
    const auto before = torch::where(fresh.view(shape), now, kept.index_select(0, slots));
    const auto whole = torch::cat({before, now}, 1);
    kept.index_copy_(0, slots, whole.narrow(1, 1, kept.size(1)));
    return whole;
  };
  return {.codes = window(codes_, seen.codes),
          .values = window(values_, seen.values),
          .previous_actions = inputs[3],
          .firsts = inputs[4]};
}

torch::Tensor Player::Probabilities(const Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  const auto states = agent_->world().Observe(Windows(inputs));
  return agent_->networks()
      .Policy(agent_->Features(states).select(1, context_ - 1))
      .probabilities();
}

torch::Tensor Player::FollowedProbabilities(const Tensors& inputs, const std::vector<int>& slots,
                                            bool any_first) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  const world_model::Steps windows = Windows(inputs);
  const auto newest = [&](const torch::Tensor& x) { return x.select(1, context_ - 1); };
  if (slots == followed_ && left_ > 0 && !any_first) {
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
  const auto n = static_cast<int64_t>(views.size());
  const auto context = static_cast<size_t>(context_);
  std::vector<int> slots;
  std::vector<int64_t> actions;
  std::vector<uint8_t> fresh, first;
  bool any_first = false;
  for (const env::PlayerView& view : views) {
    slots.push_back(view.slot);
    Memory& memory = memories_[view.slot];
    if (view.first) {
      memory = {};
      any_first = true;
    }
    fresh.push_back(memory.first.empty());
    memory.actions.push_back(memory.last_action);
    memory.first.push_back(view.first);
    while (memory.first.size() < context) {  // copies in front, each an episode of its own
      memory.actions.push_front(0);
      memory.first.front() = true;
      memory.first.push_front(true);
    }
    actions.insert(actions.end(), memory.actions.begin(), memory.actions.end());
    first.insert(first.end(), memory.first.begin(), memory.first.end());
    memory.actions.pop_front();
    memory.first.pop_front();
  }
  Reserve(1 + *std::max_element(slots.begin(), slots.end()));
  usual_games_ = usual_games_ == 0 ? n : usual_games_;
  const std::vector<int64_t> shape = {n, static_cast<int64_t>(context)};
  const auto whole = [&](const auto& of) {
    return training::ToDevice(torch::tensor(of).to(torch::kLong), agent_->device());
  };
  const auto flags = [&](const std::vector<uint8_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kUInt8).to(torch::kBool), agent_->device());
  };
  const Tensors inputs = {agent_->Frames(views), whole(slots), flags(fresh),
                          whole(actions).view(shape), flags(first).view(shape)};
  torch::Tensor probabilities;
  if (agent_->world().followed_steps() > 0) {
    probabilities = FollowedProbabilities(inputs, slots, any_first);
  } else {
    probabilities = (n == usual_games_ ? work_->Run(inputs) : work_->Call(inputs))[0];
  }
  std::vector<float> uniforms;
  for (const auto& view : views) {
    uniforms.push_back(static_cast<float>(rngs[static_cast<size_t>(view.slot)].Uniform()));
  }
  const auto chosen =
      policy::ChooseActions(probabilities.to(torch::kCPU), temperature_, torch::tensor(uniforms));
  std::vector<int> result;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto action = chosen[static_cast<int64_t>(i)].item<int64_t>();
    memories_[views[i].slot].last_action = action;
    result.push_back(static_cast<int>(action));
  }
  return result;
}

void Player::Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
                    const std::vector<int64_t>& last_actions) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(agent_->device(), agent_->precision());
  const int64_t length = windows.length, room = context_ - 1;
  const int64_t kept = std::min(length, room);
  Reserve(windows.batch);
  left_ = 0;
  for (int64_t slot = 0; slot < windows.batch; ++slot) {
    Memory& memory = memories_[static_cast<int>(slot)];
    memory = {.actions = {}, .first = {}, .last_action = last_actions[static_cast<size_t>(slot)]};
    for (int64_t t = length - kept; t < length; ++t) {
      const auto i = static_cast<size_t>(slot * length + t);
      memory.actions.push_back(windows.previous_actions[i]);
      memory.first.push_back(windows.firsts[i] != 0);
    }
    for (int64_t missing = kept; kept > 0 && missing < room; ++missing) {
      memory.actions.push_front(0);
      memory.first.front() = true;
      memory.first.push_front(true);
    }
  }
  if (kept > 0) {
    const Agent::Sight seen = agent_->See(frames);  // (B T, …)
    const auto remember = [&](torch::Tensor& memory, const torch::Tensor& encoded) {
      const auto newest =
          encoded.unflatten(0, {windows.batch, length}).narrow(1, length - kept, kept);
      auto own = memory.narrow(0, 0, windows.batch);
      own.narrow(1, room - kept, kept).copy_(newest);
      own.narrow(1, 0, room - kept).copy_(newest.narrow(1, 0, 1));
    };
    remember(codes_, seen.codes);
    remember(values_, seen.values);
  }
}

}  // namespace hidreamer::imagination
