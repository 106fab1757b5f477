#include "hidreamer/imagination/windows.h"

#include "hidreamer/training/device.h"

namespace hidreamer::imagination {

world_model::Steps ReadWindows(Agent& agent, const data::ReplayBatch& batch,
                               const torch::Tensor& frames) {
  torch::NoGradGuard no_grad;
  const auto device = frames.device();
  const Agent::Sight encoded = agent.See(frames);  // (B T, …)
  const std::vector<int64_t> shape = {batch.batch, batch.length};
  const auto per_step = [&](const torch::Tensor& x) {
    auto sizes = x.sizes().vec();
    sizes.erase(sizes.begin());
    sizes.insert(sizes.begin(), shape.begin(), shape.end());
    return x.view(sizes);
  };
  const auto whole = [&](const std::vector<int64_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kLong).view(shape), device);
  };
  const auto flags = [&](const std::vector<uint8_t>& of) {
    return training::ToDevice(torch::tensor(of, torch::kUInt8).to(torch::kBool).view(shape),
                              device);
  };
  return {.codes = per_step(encoded.codes),
          .values = per_step(encoded.values),
          .previous_actions = whole(batch.previous_actions),
          .firsts = flags(batch.firsts),
          .actions = whole(batch.actions),
          .rewards = training::ToDevice(torch::tensor(batch.rewards).view(shape), device),
          .terminals = flags(batch.terminals)};
}

world_model::Steps ReadWindows(Agent& agent, const data::EpisodeStore& recording,
                               const std::vector<int64_t>& starts, int64_t length) {
  data::ReplayBatch batch;
  batch.batch = static_cast<int64_t>(starts.size());
  batch.length = length;
  std::vector<int64_t> rows;
  for (const int64_t start : starts) {
    for (int64_t row = start; row < start + length; ++row) {
      const auto i = static_cast<size_t>(row);
      const bool first = recording.EpisodeOf(row).begin == row;
      rows.push_back(row);
      batch.actions.push_back(recording.actions()[i]);
      batch.previous_actions.push_back(first ? 0 : recording.actions()[i - 1]);
      batch.rewards.push_back(recording.rewards()[i]);
      batch.terminals.push_back(recording.terminals()[i]);
      batch.firsts.push_back(first ? 1 : 0);
    }
  }
  return ReadWindows(agent, batch, agent.Frames(recording, rows));
}

}  // namespace hidreamer::imagination
