#pragma once

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/replay_buffer.h"

namespace hidreamer::agent {

// Through the tokenizer, without a gradient: frames (B T, 1, 64, 64) of the batch, on the device.
world_model::Steps ReadWindows(AgentModels models, const data::ReplayBatch& batch,
                               const torch::Tensor& frames);
// With the batch's own frames.
world_model::Steps ReadWindows(AgentModels models, const data::ReplayBatch& batch,
                               torch::Device device);

// Rows `start`, start + 1, … of a recording, for each start, as the replay would give them.
data::ReplayBatch ReadRecording(const data::EpisodeStore& store, const std::vector<int64_t>& starts,
                                int64_t length);

}  // namespace hidreamer::agent
