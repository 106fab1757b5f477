#include "hidreamer/agent/online_player.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/categorical.h"

namespace hidreamer::agent {

OnlinePlayer::OnlinePlayer(AgentModels models, bool greedy, torch::Device device)
    : models_(std::move(models)),
      greedy_(greedy),
      device_(device),
      precision_(models_->options().precision == "bf16" ? nn::Precision::kBf16
                                                        : nn::Precision::kF32) {}

std::vector<int> OnlinePlayer::Act(const std::vector<env::PlayerView>& views,
                                   std::vector<Rng>& rngs) {
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard autocast(device_, precision_);
  const auto n = static_cast<int64_t>(views.size());
  std::vector<uint8_t> pixels(views.size() * kObservationBytes);
  for (size_t i = 0; i < views.size(); ++i) {
    observer_.Observe(views[i].environment->frame(), pixels.data() + i * kObservationBytes);
  }
  const auto grids = models_->tokenizer->Encode(ToTensor(pixels, device_)).values;  // (n, C, G, G)
  const auto context = static_cast<size_t>(models_->options().world_model.context);
  std::vector<torch::Tensor> windows;
  std::vector<int64_t> actions;
  std::vector<uint8_t> first;
  for (size_t i = 0; i < views.size(); ++i) {
    Memory& memory = memories_[views[i].slot];
    if (views[i].first) {
      memory = {};
    }
    const auto now = grids.select(0, static_cast<int64_t>(i));
    memory.values.push_back(now);
    memory.actions.push_back(memory.last_action);
    memory.first.push_back(views[i].first);
    while (memory.values.size() < context) {  // copies in front, each an episode of its own
      memory.values.push_front(memory.values.front());
      memory.actions.push_front(0);
      memory.first.front() = true;
      memory.first.push_front(true);
    }
    if (memory.values.size() > context) {
      memory.values.pop_front();
      memory.actions.pop_front();
      memory.first.pop_front();
    }
    windows.push_back(
        torch::stack(std::vector<torch::Tensor>(memory.values.begin(), memory.values.end())));
    actions.insert(actions.end(), memory.actions.begin(), memory.actions.end());
    first.insert(first.end(), memory.first.begin(), memory.first.end());
  }
  const std::vector<int64_t> shape = {n, static_cast<int64_t>(context)};
  const auto states = models_->world_model->Observe(
      {.values = torch::stack(windows),
       .previous_actions = torch::tensor(actions, torch::kLong).view(shape).to(device_),
       .first = torch::tensor(first, torch::kUInt8).to(torch::kBool).view(shape).to(device_)});
  const int64_t last = shape[1] - 1;
  const auto features =
      models_->Features({grids, states.hidden.select(1, last), states.local.select(1, last)});
  const auto distribution = models_->Policy(features);
  const auto probabilities = distribution.probabilities().to(torch::kCPU).contiguous();
  std::vector<float> uniforms;
  for (const auto& view : views) {
    uniforms.push_back(static_cast<float>(rngs[static_cast<size_t>(view.slot)].Uniform()));
  }
  const auto chosen =
      greedy_ ? probabilities.argmax(-1) : nn::CategoryAt(probabilities, torch::tensor(uniforms));
  std::vector<int> result;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto action = chosen[static_cast<int64_t>(i)].item<int64_t>();
    memories_[views[i].slot].last_action = action;
    result.push_back(static_cast<int>(action));
  }
  return result;
}

void OnlinePlayer::Recall(int slot, const data::ReplayBatch& window, int64_t last_action) {
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard autocast(device_, precision_);
  Memory& memory = memories_[slot];
  memory = {};
  memory.last_action = last_action;
  const int64_t kept = std::min(window.length, models_->options().world_model.context - 1);
  if (kept == 0) {
    return;
  }
  const auto grids = models_->tokenizer->Encode(ToTensor(window.frames, device_)).values;
  for (int64_t t = window.length - kept; t < window.length; ++t) {
    memory.values.push_back(grids.select(0, t));
    memory.actions.push_back(window.previous_actions[static_cast<size_t>(t)]);
    memory.first.push_back(window.firsts[static_cast<size_t>(t)] != 0);
  }
}

std::unique_ptr<env::Player> LoadOnlinePlayer(const std::filesystem::path& run,
                                              const std::string& game, bool greedy) {
  AgentModels models = LoadAgentModels(run);
  if (models->options().game != game) {
    throw UserError("", "{} holds an agent for {}, not for {}", run.string(),
                    models->options().game, game);
  }
  return std::make_unique<OnlinePlayer>(models, greedy);
}

}  // namespace hidreamer::agent
