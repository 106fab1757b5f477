#include "hidreamer/agent/replay_reader.h"

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/training/device.h"

namespace hidreamer::agent {

data::ReplayBufferOptions ReplayOf(const config::Config& config) {
  return {.streams = config.collect.environments, .frame_bytes = kObservationBytes};
}

data::SampleOptions SamplingOf(const config::Config& config) {
  return {.recent_share = config.replay.recent_share,
          .recent_steps = config.replay.recent_steps,
          .near_reward_share = config.replay.near_reward_share,
          .horizon = config.policy.horizon};
}

ReplayReader::ReplayReader(const data::ReplayBuffer& replay, torch::Device device)
    : replay_(replay), device_(device), known_(static_cast<size_t>(replay.streams()), 0) {}

void ReplayReader::Follow() {
  if (device_.is_cpu()) {
    return;
  }
  int64_t longest = 0;
  for (int64_t stream = 0; stream < replay_.streams(); ++stream) {
    longest = std::max(longest, replay_.size(stream));
  }
  if (!frames_.defined() || frames_.size(1) < longest) {
    const auto larger = torch::empty({replay_.streams(), 2 * longest, kObservationBytes},
                                     torch::TensorOptions(device_).dtype(torch::kUInt8));
    if (frames_.defined()) {
      larger.narrow(1, 0, frames_.size(1)).copy_(frames_);
    }
    frames_ = larger;
  }
  for (int64_t stream = 0; stream < replay_.streams(); ++stream) {
    int64_t& known = known_[static_cast<size_t>(stream)];
    const int64_t fresh = replay_.size(stream) - known;
    if (fresh > 0) {
      const uint8_t* const from = replay_.frames(stream).data() + known * kObservationBytes;
      const auto bytes =
          torch::from_blob(const_cast<uint8_t*>(from), {fresh, kObservationBytes}, torch::kUInt8);
      frames_[stream].narrow(0, known, fresh).copy_(training::ToDevice(bytes, device_));
      known += fresh;
    }
  }
}

void ReplayReader::Reload() {
  std::fill(known_.begin(), known_.end(), 0);
  Follow();
}

torch::Tensor ReplayReader::Frames(const std::vector<data::WindowStart>& starts,
                                   int64_t length) const {
  if (device_.is_cpu()) {
    return ToTensor(replay_.Read(starts, length).frames, device_);
  }
  std::vector<int64_t> rows;
  for (const data::WindowStart& start : starts) {
    HID_CHECK(start.row + length <= known_[static_cast<size_t>(start.source)],
              "steps {} to {} of stream {} are not on the device", start.row, start.row + length,
              start.source);
    for (int64_t t = 0; t < length; ++t) {
      rows.push_back(start.source * frames_.size(1) + start.row + t);
    }
  }
  return ToTensor(frames_.flatten(0, 1).index_select(
      0, training::ToDevice(torch::tensor(rows, torch::kLong), device_)));
}

}  // namespace hidreamer::agent
