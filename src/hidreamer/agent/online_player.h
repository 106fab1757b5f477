#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/env/player.h"
#include "hidreamer/nn/precision.h"

namespace hidreamer::agent {

// Plays real games with an online agent, several side by side. Each step the last `context` steps
// of every game are read anew by the world model, just as before a dream.
class OnlinePlayer : public env::Player {
 public:
  OnlinePlayer(AgentModels models, bool greedy, torch::Device device = torch::kCPU);

  std::vector<int> Act(const std::vector<env::PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "agent"; }

  // Replaces what is remembered of a game by these steps, the newest last: window.batch is 1, at
  // most context - 1 steps are kept; `last_action` led to the frame that the next Act sees. While
  // the networks learn, memories have to be read anew with them.
  void Recall(int slot, const data::ReplayBatch& window, int64_t last_action);

 private:
  struct Memory {
    std::deque<torch::Tensor> values;  // (C, G, G) of the last steps
    std::deque<int64_t> actions;       // that led to each; 0 at an episode's start
    std::deque<bool> first;
    int64_t last_action = 0;
  };

  AgentModels models_;
  bool greedy_;
  torch::Device device_;
  nn::Precision precision_;
  Observer observer_;
  std::map<int, Memory> memories_;  // by slot
};

// The finished agent of a run directory. Throws a user Error where there is none or it plays
// another game.
std::unique_ptr<env::Player> LoadOnlinePlayer(const std::filesystem::path& run,
                                              const std::string& game, bool greedy);

}  // namespace hidreamer::agent
