#pragma once

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/replay_buffer.h"

namespace hidreamer::agent {

// B windows of T consecutive steps in the networks' terms.
struct Windows {
  world_model::StepInputs inputs;
  torch::Tensor codes;      // (B, T, P, L) int64
  torch::Tensor actions;    // (B, T) int64, chosen at each step
  torch::Tensor rewards;    // (B, T) f32, that followed
  torch::Tensor terminals;  // (B, T) bool

  // In a fixed order, and back.
  std::vector<torch::Tensor> ToTensors() const;
  static Windows FromTensors(const std::vector<torch::Tensor>& tensors);

  int64_t batch() const { return codes.size(0); }
  int64_t length() const { return codes.size(1); }
  Windows Steps(int64_t begin, int64_t count) const;  // steps begin … of each window
  Windows Some(int64_t begin, int64_t count) const;   // windows begin …
};

// Through the tokenizer, without a gradient: frames (B T, 1, 64, 64) of the batch, on the device.
Windows ReadWindows(AgentModels models, const data::ReplayBatch& batch,
                    const torch::Tensor& frames);
// With the batch's own frames.
Windows ReadWindows(AgentModels models, const data::ReplayBatch& batch, torch::Device device);

// Rows `start`, start + 1, … of a recording, for each start, as the replay would give them.
data::ReplayBatch ReadRecording(const data::EpisodeStore& store, const std::vector<int64_t>& starts,
                                int64_t length);

}  // namespace hidreamer::agent
