#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hidreamer/env/player.h"
#include "hidreamer/imagination/histories.h"
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

  // As Histories::Recall. While the networks learn, games have to be read anew with them.
  void Recall(const data::ReplayBatch& windows, const torch::Tensor& frames,
              const std::vector<int64_t>& last_actions);

 private:
  using Tensors = training::CapturedGraph::Tensors;

  // Of the games as Histories::GoOn has them, (N, A).
  torch::Tensor Probabilities(const Tensors& games);
  // The same by a rollout that goes on, where the same games do.
  torch::Tensor FollowedProbabilities(const Tensors& games, const std::vector<int>& slots,
                                      bool any_first);

  std::shared_ptr<Agent> agent_;
  double temperature_;
  Histories histories_;
  std::unique_ptr<training::CapturedGraph> work_;
  int64_t version_ = -1;    // of the histories, that work_ was made for
  size_t usual_games_ = 0;  // how many play at a time at first
  // Where games are followed:
  std::unique_ptr<world_model::Rollout> rollout_;
  std::vector<int> followed_;  // slots that it follows
  int64_t left_ = 0;           // steps that it can follow yet
};

}  // namespace hidreamer::imagination
