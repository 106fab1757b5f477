#include "hidreamer/imagination/histories.h"

#include <algorithm>
#include <utility>

#include "hidreamer/training/device.h"

namespace hidreamer::imagination {

Histories::Histories(std::shared_ptr<Agent> agent)
    : agent_(std::move(agent)), context_(agent_->world().options().context) {}

void Histories::Reserve(int64_t count) {
  if (codes_.defined() && codes_.size(0) >= count) {
    return;
  }
  ++version_;
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
  torch::NoGradGuard no_grad;
  grow(codes_, codes);
  grow(values_, agent_->ValuesOfCodes()(codes));
}

void Histories::StandStill(Memory& memory, int64_t length) {
  while (std::ssize(memory.first) < length) {
    memory.actions.push_front(0);
    memory.first.front() = true;
    memory.first.push_front(true);
  }
}

std::vector<torch::Tensor> Histories::GoOn(const std::vector<env::PlayerView>& views) {
  std::vector<int64_t> slots, actions;
  std::vector<uint8_t> fresh, first;
  for (const env::PlayerView& view : views) {
    slots.push_back(view.slot);
    Memory& memory = memories_[view.slot];
    if (view.first) {
      memory = {};
    }
    fresh.push_back(memory.first.empty());
    memory.actions.push_back(memory.last_action);
    memory.first.push_back(view.first);
    StandStill(memory, context_);
    actions.insert(actions.end(), memory.actions.begin(), memory.actions.end());
    first.insert(first.end(), memory.first.begin(), memory.first.end());
    memory.actions.pop_front();
    memory.first.pop_front();
  }
  Reserve(1 + *std::max_element(slots.begin(), slots.end()));
  const std::vector<int64_t> shape = {std::ssize(views), context_};
  const auto whole = [&](const std::vector<int64_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kLong), agent_->device());
  };
  const auto flags = [&](const std::vector<uint8_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kUInt8).to(torch::kBool), agent_->device());
  };
  return {agent_->Frames(views), whole(slots), flags(fresh), whole(actions).view(shape),
          flags(first).view(shape)};
}

world_model::Steps Histories::Windows(const std::vector<torch::Tensor>& games) {
  torch::NoGradGuard no_grad;
  const torch::Tensor &frames = games[0], &slots = games[1], &fresh = games[2];
  const Agent::Sight seen = agent_->See(frames);
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
          .previous_actions = games[3],
          .firsts = games[4]};
}

void Histories::Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
                       const std::vector<int64_t>& last_actions) {
  torch::NoGradGuard no_grad;
  const int64_t length = windows.length, room = context_ - 1;
  const int64_t kept = std::min(length, room);
  Reserve(windows.batch);
  for (int64_t slot = 0; slot < windows.batch; ++slot) {
    Memory& memory = memories_[static_cast<int>(slot)];
    memory = {.actions = {}, .first = {}, .last_action = last_actions[static_cast<size_t>(slot)]};
    for (int64_t t = length - kept; t < length; ++t) {
      const auto i = static_cast<size_t>(slot * length + t);
      memory.actions.push_back(windows.previous_actions[i]);
      memory.first.push_back(windows.firsts[i] != 0);
    }
    if (kept > 0) {
      StandStill(memory, room);
    }
  }
  if (kept == 0) {
    return;
  }
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

}  // namespace hidreamer::imagination
