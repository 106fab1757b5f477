#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::env {

// What a player sees of one of the games it plays side by side.
struct PlayerView {
  int slot = 0;        // which of the games
  bool first = false;  // first step of an episode: forget the past
  const Environment* environment = nullptr;
  const uint8_t* stack = nullptr;  // (4, 84, 84) u8, oldest frame first, first frame repeated at
                                   // the start of an episode
};

// Chooses actions for several games at once (a network wants one batch). Owns its per-slot memory.
class Player {
 public:
  virtual ~Player() = default;
  // One action index per view, in order. `rngs[slot]` is the slot's own generator, so that games do
  // not influence each other.
  virtual std::vector<int> Act(const std::vector<PlayerView>& views, std::vector<Rng>& rngs) = 0;
  // Plays whole episodes with one behaviour; called at episode starts for players that switch
  // (mixture).
  virtual std::string name() const = 0;
};

}  // namespace hidreamer::env
