#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hidreamer/agent/dream_game.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/imagination/agent.h"
#include "hidreamer/report/film.h"
#include "hidreamer/report/image.h"

namespace hidreamer::pipeline {

struct AgentFilmOptions {
  int64_t lead = 60;         // steps that the agent plays before the dream begins
  int64_t steps = 45;        // dreamed steps; fewer where the game ends
  double temperature = 0.5;  // of the codes drawn; 0: the likeliest
  uint64_t seed = 0;         // of the game, the actions and the draws
};

constexpr int kFilmMilliseconds = 120;  // a step is shown for

// A real game that the agent plays, the same frames drawn from their codes, and the dream under the
// same actions, side by side, a picture a step. The dream sees no frame after its beginning.
std::vector<report::Image> FilmAgent(std::shared_ptr<imagination::Agent> agent,
                                     std::unique_ptr<env::Environment> game,
                                     const AgentFilmOptions& options);
// One picture of it.
report::Image DrawMoment(const agent::DreamGameMoment& moment);
// How an agent's codes are laid out: {"grid", "level_codes"}.
nlohmann::json DescribeCodes(imagination::Agent& agent);

// The same for a page that shows it step by step: `steps` steps, the codes beside them; the dream
// begins anew where the game is every kFilmDream steps. Throws Interrupted on Ctrl-C.
constexpr int64_t kFilmDream = 50;
report::Film FilmSteps(std::shared_ptr<imagination::Agent> agent,
                       std::unique_ptr<env::Environment> game, const AgentFilmOptions& options);

}  // namespace hidreamer::pipeline
