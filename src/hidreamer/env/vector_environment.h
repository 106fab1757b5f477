#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hidreamer/env/environment.h"
#include "hidreamer/env/frame_stack.h"
#include "hidreamer/env/player.h"
#include "hidreamer/env/thread_team.h"

namespace hidreamer::env {

// Several games side by side, stepped on threads. What a game does depends on its own seeds and
// actions alone, so the number of threads changes nothing but the speed.
class VectorEnvironment {
 public:
  using Factory = std::function<std::unique_ptr<Environment>()>;
  static constexpr int kIdle = -1;  // as an action: leave this game alone

  VectorEnvironment(int count, int threads, const Factory& factory);

  int size() const { return static_cast<int>(slots_.size()); }
  const EnvironmentSpec& spec() const { return slots_.front().environment->spec(); }
  const Environment& environment(int slot) const { return *At(slot).environment; }
  const uint8_t* stack(int slot) const { return At(slot).stack.data(); }  // (4, 84, 84)

  // Starts an episode in one game. Different slots may be reset from different threads.
  void Reset(int slot, uint64_t seed);

  // Steps every game whose action is not kIdle. `after(slot, result)`, if given, runs right after
  // on the thread that stepped it (record, then Reset(slot) on an end). Results are in slot order;
  // idle slots have a default one.
  std::vector<StepResult> Step(
      const std::vector<int>& actions,
      const std::function<void(int slot, const StepResult& result)>& after = {});

  // One step of the given games, with the actions that the player chooses for them. `rngs` and both
  // results are by slot, idle ones too. Throws an internal Error where the player chooses for
  // another number of games.
  struct Played {
    std::vector<int> actions;
    std::vector<StepResult> results;
  };
  using AfterPlay = std::function<void(int slot, int action, const StepResult& result)>;
  Played Play(const std::vector<int>& slots, Player& player, std::vector<Rng>& rngs,
              const AfterPlay& after = {});
  Played Play(Player& player, std::vector<Rng>& rngs, const AfterPlay& after = {});  // all games

  // What a Player sees of the given slots. `first` is true until the episode's first Step.
  std::vector<PlayerView> Views(const std::vector<int>& slots) const;
  std::vector<PlayerView> Views() const;  // of all slots

  ThreadTeam& team() { return team_; }

 private:
  struct Slot {
    std::unique_ptr<Environment> environment;
    FrameStack stack;
    bool first = true;
  };
  const Slot& At(int slot) const { return slots_[static_cast<size_t>(slot)]; }
  std::vector<int> All() const;

  ThreadTeam team_;
  std::vector<Slot> slots_;
};

}  // namespace hidreamer::env
