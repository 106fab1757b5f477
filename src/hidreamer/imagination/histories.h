#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/env/player.h"
#include "hidreamer/imagination/agent.h"

namespace hidreamer::imagination {

// The last `context` steps of several real games, as an agent sees them. Before its start a game is
// taken to have stood still: its first step again, each an episode of its own, after action 0.
class Histories {
 public:
  explicit Histories(std::shared_ptr<Agent> agent);

  // The games go on to what these show, by the actions of Acted. Frames (N, …), slots (N) int64,
  // whether nothing is remembered (N) bool, actions (N, T) int64 and firsts (N, T) bool.
  std::vector<torch::Tensor> GoOn(const std::vector<env::PlayerView>& views);
  // The windows of these games (N, T, …), to be called once behind GoOn. The work can be recorded
  // as a graph, which is void once version() has risen.
  world_model::Steps Windows(const std::vector<torch::Tensor>& games);
  void Acted(int slot, int64_t action) { memories_[slot].last_action = action; }

  // Replaces what is remembered of the games of slots 0, 1, … by these steps, the newest last:
  // window i is of slot i, with its frames (B T, …); at most context - 1 steps are kept.
  // `last_actions` led to what the next GoOn shows.
  void Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
              const std::vector<int64_t>& last_actions);

  // Rises where what is remembered moves in memory.
  int64_t version() const { return version_; }

 private:
  // Of a game's last context - 1 steps, fewer after its start.
  struct Memory {
    std::deque<int64_t> actions;  // that led to each; 0 at an episode's start
    std::deque<bool> first;
    int64_t last_action = 0;
  };

  // Makes room for slots 0 … count - 1.
  void Reserve(int64_t count);
  // As many steps in front as are missing to `length`.
  static void StandStill(Memory& memory, int64_t length);

  std::shared_ptr<Agent> agent_;
  int64_t context_;
  std::map<int, Memory> memories_;  // by slot
  torch::Tensor codes_, values_;    // (slots, T - 1, …) of the steps before, as Steps has them
  int64_t version_ = 0;
};

}  // namespace hidreamer::imagination
