#pragma once

#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/imagination/agent.h"

namespace hidreamer::imagination {

// What the agent sees of windows, without a gradient: frames (B T, …) of the batch, as its Frames.
world_model::Steps ReadWindows(Agent& agent, const data::ReplayBatch& batch,
                               const torch::Tensor& frames);
// Rows `start`, start + 1, … of a recording, for each start.
world_model::Steps ReadWindows(Agent& agent, const data::EpisodeStore& recording,
                               const std::vector<int64_t>& starts, int64_t length);

}  // namespace hidreamer::imagination
