#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/data/replay_buffer.h"
#include "hidreamer/env/player.h"
#include "hidreamer/imagination/agent.h"
#include "hidreamer/training/captured_graph.h"

namespace hidreamer::imagination {

// Plays real games with an agent, several side by side. Each step the world reads the last
// `context` steps of every game, just as before a dream; a world whose followed_steps() are not 0
// follows the games so far before it reads them again, all together.
class Player : public env::Player {
 public:
  // temperature: of the actions, see policy::ChooseActions.
  Player(std::shared_ptr<Agent> agent, double temperature);
  Player(const Player&) = delete;  // its recorded work points to it
  Player& operator=(const Player&) = delete;

  std::vector<int> Act(const std::vector<env::PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "agent"; }

  // Replaces what is remembered of the games of slots 0, 1, … by these steps, the newest last:
  // window i is of slot i, with its frames (B T, …); at most context - 1 steps are kept.
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
  using Tensors = training::CapturedGraph::Tensors;

  // Frames (N, …), slots (N), whether nothing is remembered (N), actions and firsts (N, T) ->
  // the games' windows. Moves the remembered steps on by one.
  world_model::Steps Windows(const Tensors& inputs);
  // Of the same, (N, A).
  torch::Tensor Probabilities(const Tensors& inputs);
  // The same by a rollout that goes on, where the same games do.
  torch::Tensor FollowedProbabilities(const Tensors& inputs, const std::vector<int>& slots,
                                      bool any_first);
  // Makes room for slots 0 … count - 1.
  void Reserve(int64_t count);

  std::shared_ptr<Agent> agent_;
  double temperature_;
  int64_t context_;
  std::map<int, Memory> memories_;  // by slot
  torch::Tensor codes_, values_;    // (slots, T - 1, …) of the steps before, as Steps has them
  std::unique_ptr<training::CapturedGraph> work_;
  int64_t usual_games_ = 0;  // how many play at a time at first
  // Where games are followed:
  std::unique_ptr<world_model::Rollout> rollout_;
  std::vector<int> followed_;  // slots that it follows
  int64_t left_ = 0;           // steps that it can follow yet
};

}  // namespace hidreamer::imagination
