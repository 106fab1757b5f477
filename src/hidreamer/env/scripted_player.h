#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hidreamer/env/player.h"

namespace hidreamer::env {

// Uniformly random actions.
class RandomPlayer : public Player {
 public:
  std::vector<int> Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "random"; }
};

// Plays one episode at random and another well, so that a recording holds both long rallies and
// odd states. At an episode's start each slot draws a behaviour:
//   pong, breakout   random, or a tracker of the ball that reads RAM, with a share of random
//   actions ms_pacman        random directions held for a while catch            random, or optimal
//   other games      random actions held for a while
class MixturePlayer : public Player {
 public:
  std::vector<int> Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "mixture"; }

 private:
  // One slot's episode.
  struct Episode {
    bool scripted = false;
    double random_share = 0;  // of actions, in a scripted episode
    int held = 0;             // action being held
    int hold = 0;             // steps it is still held
    int offset = 0;           // where on the paddle the ball is to land
    int last_ball_x = 0;
    int last_ball_y = 0;
  };
  int Scripted(const PlayerView& view, Episode& episode, Rng& rng) const;

  std::vector<Episode> episodes_;
};

// The scripted behaviour alone, in every episode (a yardstick, and the tests).
class ScriptedPlayer : public Player {
 public:
  ScriptedPlayer();
  ~ScriptedPlayer() override;
  std::vector<int> Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return "scripted"; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "random" | "mixture" | "scripted"; throws a user Error otherwise.
std::unique_ptr<Player> MakePlayer(const std::string& name);
bool IsPlayerName(const std::string& name);

}  // namespace hidreamer::env
