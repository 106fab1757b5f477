#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "hidreamer/agent/long_dream.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/env/frame_stack.h"
#include "hidreamer/imagination/agent.h"
#include "hidreamer/imagination/histories.h"

namespace hidreamer::agent {

// A game as the agent takes it at a step, be it real or dreamed.
struct GameView {
  env::Screen picture;               // drawn from the codes
  std::vector<int64_t> codes;        // (P, L)
  std::vector<float> probabilities;  // (A), the actor's
  double value = 0;                  // discounted score to come, the critic's
  double reward = 0, score = 0;      // of the step, and since the dream began
};

struct DreamGameMoment {
  int64_t step = 0;     // since the dream began
  int action = -1;      // that led here; -1: none yet
  env::Screen picture;  // of the real game
  GameView game, dream;
  bool game_over = false;
  double continues = 1;  // the dream's probability that it goes on
};

// Who chooses the actions: a person, or the actor by what it sees in the game or in the dream.
enum class Pilot { kPerson, kActorInGame, kActorInDream };

// A real game and a dream of it, side by side under the same actions, to be watched or played. The
// dream begins where the game is and then has only its own steps to go by.
class DreamGame {
 public:
  DreamGame(std::shared_ptr<imagination::Agent> agent, std::unique_ptr<env::Environment> game);

  const env::EnvironmentSpec& spec() const { return game_->spec(); }
  const DreamGameMoment& now() const { return now_; }
  // A new game, of which the actor plays `lead` steps, or fewer should it end; then the dream
  // begins. The same seed and actions give the same moments.
  void Begin(uint64_t seed, int64_t lead);
  // The dream begins anew where the game is.
  void Rejoin();
  // Level `level` of place `place` of the dream's newest step becomes `code`, and the dream goes on
  // from there. Throws an internal Error where there is no such code.
  void Edit(int64_t place, int64_t level, int64_t code);
  // One step of both. `action` is a person's; `temperature` is of the codes drawn, 0: the
  // likeliest. Throws an internal Error for no action of the game, or once it is over.
  void Step(Pilot pilot, int action, double temperature);

 private:
  // What the agent makes of a step: codes, values, features (1, …).
  void Look(const torch::Tensor& codes, const torch::Tensor& features, GameView& view);
  void SeeGame(int64_t action, bool first);
  void DreamStep(int action, double temperature);
  int Choose(const GameView& view);

  std::shared_ptr<imagination::Agent> agent_;
  std::unique_ptr<env::Environment> game_;
  env::FrameStack stack_;
  Rng choices_, draws_;
  imagination::Histories histories_;  // of the game, slot 0
  world_model::Steps seen_;           // its window (1, context, …)
  std::optional<LongDream> dream_;
  DreamGameMoment now_;
};

}  // namespace hidreamer::agent
