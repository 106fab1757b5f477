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

// Plays some episodes at random and the others by a script that reads RAM, so that a recording
// holds long rallies as well as odd states. At an episode's start each slot draws its behaviour:
//   pong, breakout   random actions, or following the ball with a share of random actions
//   ms_pacman        random actions, or random directions held for a while
//   catch            random actions, or the optimal ones with a share of random actions
//   other games      random actions, or random actions held for a while
class MixturePlayer : public Player {
 public:
  // `random_episodes`: share of episodes played at random. `most_random`: in a scripted episode the
  // share of random actions is uniform in [0, most_random].
  explicit MixturePlayer(std::string name = "mixture", double random_episodes = 0.5,
                         double most_random = 0.3)
      : name_(std::move(name)), random_episodes_(random_episodes), most_random_(most_random) {}

  std::vector<int> Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) override;
  std::string name() const override { return name_; }

 private:
  // What a slot remembers of its episode.
  struct Episode {
    bool scripted = false;
    double random_share = 0;  // of actions, in a scripted episode
    int held = 0;             // action being held
    int hold = 0;             // steps it is still held
    int offset = 0;           // where on the paddle the ball is to land
    int ball_x = 0;           // at the previous step
    int ball_y = 0;
    int player = 0;  // the paddle, at the previous step
  };
  Episode Begin(Rng& rng) const;
  static int ActByScript(const PlayerView& view, Episode& episode, Rng& rng);
  static int Hold(int num_actions, int first, int longest, Episode& episode, Rng& rng);
  static int PlayPong(const PlayerView& view, Episode& episode, Rng& rng);
  static int PlayBreakout(const PlayerView& view, Episode& episode, Rng& rng);
  static int PlayCatch(const PlayerView& view);

  std::string name_;
  double random_episodes_;
  double most_random_;
  std::vector<Episode> episodes_;  // by slot
};

// "random" | "mixture" | "scripted" (the mixture without random episodes, with at most a tenth of
// random actions); throws a
// user Error otherwise.
std::unique_ptr<Player> MakePlayer(const std::string& name);
bool IsPlayerName(const std::string& name);

}  // namespace hidreamer::env
