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
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/captured_graph.h"

namespace hidreamer::agent {

// Plays real games with an online agent, several side by side. Each step the last `context` steps
// of every game are read anew by the world model, just as before a dream.
class OnlinePlayer : public env::Player {
 public:
  // temperature: of the actions, see policy::ChooseActions.
  OnlinePlayer(AgentModels models, double temperature, torch::Device device = torch::kCPU);

  std::vector<int> Act(const std::vector<env::PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "agent"; }

  // Replaces what is remembered of the games of slots 0, 1, … by these steps, the newest last:
  // window i is of slot i, with its frames (B T, 1, 64, 64); at most context - 1 steps are kept.
  // `last_actions` led to the frames that the next Act sees. While the networks learn, memories
  // have to be read anew with them.
  void Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
              const std::vector<int64_t>& last_actions);

 private:
  // Of a game's last context - 1 steps, fewer after its start.
  struct Memory {
    std::deque<int64_t> actions;  // that led to each; 0 at an episode's start
    std::deque<bool> first;
    int64_t last_action = 0;
  };

  // Frames (N, 1, 64, 64), slots (N), whether nothing is remembered (N), actions and first (N, T)
  // -> probabilities (N, A). Moves the remembered steps on by one.
  torch::Tensor Probabilities(const training::CapturedGraph::Tensors& inputs);
  // Makes room for slots 0 … count - 1.
  void Reserve(int64_t count);

  AgentModels models_;
  double temperature_;
  torch::Device device_;
  layers::Precision precision_;
  Observer observer_;
  std::map<int, Memory> memories_;  // by slot
  torch::Tensor codes_, values_;    // (slots, T - 1, …) of the steps before, as Steps has them
  std::unique_ptr<training::CapturedGraph> work_;
  int64_t usual_games_ = 0;  // how many play at a time at first
};

// The finished agent of a run directory. Throws a user Error where there is none or it plays
// another game.
std::unique_ptr<env::Player> LoadOnlinePlayer(const std::filesystem::path& run,
                                              const std::string& game, double temperature,
                                              torch::Device device = torch::kCPU);

}  // namespace hidreamer::agent
