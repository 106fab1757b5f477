#include "hidreamer/agent/online_player.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/training/device.h"

namespace hidreamer::agent {

OnlinePlayer::OnlinePlayer(AgentModels models, double temperature, torch::Device device)
    : models_(std::move(models)),
      temperature_(temperature),
      device_(device),
      precision_(PrecisionOf(models_->options())) {}

void OnlinePlayer::Reserve(int64_t count) {
  if (codes_.defined() && codes_.size(0) >= count) {
    return;
  }
  const auto& options = models_->options();
  const auto grow = [&](torch::Tensor& kept, std::vector<int64_t> shape, torch::ScalarType type) {
    shape.insert(shape.begin(), {count, options.world_model.context - 1});
    const auto larger = torch::zeros(shape, torch::TensorOptions(device_).dtype(type));
    if (kept.defined()) {
      larger.narrow(0, 0, kept.size(0)).copy_(kept);
    }
    kept = larger;
  };
  const auto& tokenizer = options.tokenizer;
  grow(codes_, {tokenizer.places(), tokenizer.levels()}, torch::kLong);
  grow(values_, {tokenizer.value_channels(), tokenizer.grid, tokenizer.grid}, torch::kFloat32);
  work_ = std::make_unique<training::CapturedGraph>(
      [this](const training::CapturedGraph::Tensors& inputs) -> training::CapturedGraph::Tensors {
        return {Probabilities(inputs)};
      });
}

torch::Tensor OnlinePlayer::Probabilities(const training::CapturedGraph::Tensors& inputs) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(device_, precision_);
  const torch::Tensor &frames = inputs[0], &slots = inputs[1], &fresh = inputs[2];
  const auto seen = models_->tokenizer->Encode(frames);
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
  const auto states = models_->world_model->Observe({.codes = window(codes_, seen.codes),
                                                     .values = window(values_, seen.values),
                                                     .previous_actions = inputs[3],
                                                     .firsts = inputs[4]});
  return models_->Policy(models_->Features(states).select(1, inputs[4].size(1) - 1))
      .probabilities();
}

std::vector<int> OnlinePlayer::Act(const std::vector<env::PlayerView>& views,
                                   std::vector<Rng>& rngs) {
  const auto n = static_cast<int64_t>(views.size());
  const auto context = static_cast<size_t>(models_->options().world_model.context);
  std::vector<uint8_t> pixels(views.size() * kObservationBytes);
  std::vector<int64_t> slots, actions;
  std::vector<uint8_t> fresh, first;
  for (size_t i = 0; i < views.size(); ++i) {
    observer_.Observe(views[i].environment->frame(), pixels.data() + i * kObservationBytes);
    slots.push_back(views[i].slot);
    Memory& memory = memories_[views[i].slot];
    if (views[i].first) {
      memory = {};
    }
    fresh.push_back(memory.first.empty());
    memory.actions.push_back(memory.last_action);
    memory.first.push_back(views[i].first);
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
  const auto whole = [&](const std::vector<int64_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kLong), device_);
  };
  const auto flags = [&](const std::vector<uint8_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kUInt8).to(torch::kBool), device_);
  };
  const training::CapturedGraph::Tensors inputs = {ToTensor(pixels, device_), whole(slots),
                                                   flags(fresh), whole(actions).view(shape),
                                                   flags(first).view(shape)};
  const auto probabilities =
      (n == usual_games_ ? work_->Run(inputs) : work_->Call(inputs))[0].to(torch::kCPU);
  std::vector<float> uniforms;
  for (const auto& view : views) {
    uniforms.push_back(static_cast<float>(rngs[static_cast<size_t>(view.slot)].Uniform()));
  }
  const auto chosen = policy::ChooseActions(probabilities, temperature_, torch::tensor(uniforms));
  std::vector<int> result;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto action = chosen[static_cast<int64_t>(i)].item<int64_t>();
    memories_[views[i].slot].last_action = action;
    result.push_back(static_cast<int>(action));
  }
  return result;
}

void OnlinePlayer::Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
                          const std::vector<int64_t>& last_actions) {
  torch::NoGradGuard no_grad;
  const layers::AutocastGuard autocast(device_, precision_);
  const int64_t length = windows.length, room = models_->options().world_model.context - 1;
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
    for (int64_t missing = kept; kept > 0 && missing < room; ++missing) {
      memory.actions.push_front(0);
      memory.first.front() = true;
      memory.first.push_front(true);
    }
  }
  if (kept > 0) {
    const auto seen = models_->tokenizer->Encode(frames);  // (B T, …)
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

std::unique_ptr<env::Player> LoadOnlinePlayer(const std::filesystem::path& run,
                                              const std::string& game, double temperature,
                                              torch::Device device) {
  AgentModels models = LoadAgentModels(run);
  models->to(device);
  if (models->options().game != game) {
    throw UserError("", "{} holds an agent for {}, not for {}", run.string(),
                    models->options().game, game);
  }
  return std::make_unique<OnlinePlayer>(models, temperature, device);
}

}  // namespace hidreamer::agent
