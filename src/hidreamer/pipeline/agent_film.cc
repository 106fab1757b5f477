#include "hidreamer/pipeline/agent_film.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "hidreamer/agent/dream_game.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/report/html.h"

namespace hidreamer::pipeline {
namespace {

constexpr int64_t kHeight = 192;  // about that of each picture
constexpr int64_t kGap = 6;       // pixels between them
constexpr uint8_t kGapShade = 24;
constexpr int64_t kStill = 6;  // steps for which the beginning is shown

}  // namespace

nlohmann::json DescribeCodes(imagination::Agent& agent) {
  const world_model::TokenLayout& layout = agent.world().options().layout;
  std::vector<int64_t> level_codes;
  for (int64_t level = 0; level < layout.levels; ++level) {
    level_codes.push_back(layout.codes_of(level));
  }
  return {{"grid", std::lround(std::sqrt(layout.places))}, {"level_codes", level_codes}};
}

report::Image DrawMoment(const agent::DreamGameMoment& moment) {
  return report::Beside({report::ImageOf(moment.picture), report::ImageOf(moment.game.picture),
                         report::ImageOf(moment.dream.picture)},
                        kHeight, kGap, kGapShade);
}

std::vector<report::Image> FilmAgent(std::shared_ptr<imagination::Agent> agent,
                                     std::unique_ptr<env::Environment> game,
                                     const AgentFilmOptions& options) {
  agent::DreamGame play(std::move(agent), std::move(game));
  play.Begin(options.seed, options.lead);
  std::vector<report::Image> film(static_cast<size_t>(kStill), DrawMoment(play.now()));
  for (int64_t step = 0; step < options.steps && !play.now().game_over; ++step) {
    play.Step(agent::Pilot::kActorInGame, /*action=*/0, options.temperature);
    film.push_back(DrawMoment(play.now()));
  }
  return film;
}

report::Film FilmSteps(std::shared_ptr<imagination::Agent> agent,
                       std::unique_ptr<env::Environment> game, const AgentFilmOptions& options) {
  const nlohmann::json layout = DescribeCodes(*agent);
  agent::DreamGame play(std::move(agent), std::move(game));
  report::Film film{
      .title = "A game of the newest checkpoint",
      .views = {{.name = "the game"}, {.name = "drawn from its codes"}, {.name = "the dream"}}};
  auto codes = nlohmann::json::array();
  double score = 0;
  play.Begin(options.seed, options.lead);
  for (int64_t step = 0;; ++step) {
    const agent::DreamGameMoment& now = play.now();
    score += step == 0 ? 0 : now.game.reward;
    film.views[0].pictures.push_back(report::ImageOf(now.picture));
    film.views[1].pictures.push_back(report::ImageOf(now.game.picture));
    film.views[2].pictures.push_back(report::ImageOf(now.dream.picture));
    film.captions.push_back(
        fmt::format("step {}, {}, score {}; dreamed for {} step{}: score {}", options.lead + step,
                    now.action < 0 ? "no action yet"
                                   : play.spec().action_names[static_cast<size_t>(now.action)],
                    report::FormatNumber(score), now.step, now.step == 1 ? "" : "s",
                    report::FormatNumber(std::round(100 * now.dream.score) / 100)));
    codes.push_back(now.game.codes);
    if (step == options.steps || now.game_over) {
      break;
    }
    if (InterruptRequested()) {
      throw Interrupted();
    }
    if (now.step == kFilmDream) {
      play.Rejoin();
    }
    play.Step(agent::Pilot::kActorInGame, /*action=*/0, options.temperature);
  }
  film.codes = layout;
  film.codes["steps"] = codes;
  return film;
}

}  // namespace hidreamer::pipeline
