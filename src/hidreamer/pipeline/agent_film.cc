#include "hidreamer/pipeline/agent_film.h"

#include <fmt/format.h>

#include <utility>

#include "hidreamer/agent/dream_game.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/report/html.h"

namespace hidreamer::pipeline {
namespace {

constexpr int64_t kEnlargement = 3;
constexpr int64_t kGap = 2;  // pixels between the pictures, before they are enlarged
constexpr uint8_t kGapShade = 220;
constexpr int64_t kStill = 6;  // steps for which the beginning is shown

report::GrayImage ToImage(const std::vector<uint8_t>& picture) {
  report::GrayImage image(agent::kObservationSize, agent::kObservationSize);
  image.pixels = picture;
  return image;
}

report::GrayImage Draw(const agent::DreamGameMoment& moment) {
  return report::Enlarge(report::Tile({ToImage(moment.picture), ToImage(moment.game.picture),
                                       ToImage(moment.dream.picture)},
                                      3, kGap, kGapShade),
                         kEnlargement);
}

}  // namespace

std::vector<report::GrayImage> FilmAgent(agent::AgentModels models,
                                         std::unique_ptr<env::Environment> game,
                                         const AgentFilmOptions& options) {
  agent::DreamGame play(std::move(models), std::move(game));
  play.Begin(options.seed, options.lead);
  std::vector<report::GrayImage> film(static_cast<size_t>(kStill), Draw(play.now()));
  for (int64_t step = 0; step < options.steps && !play.now().game_over; ++step) {
    play.Step(agent::Pilot::kActorInGame, /*action=*/0, options.temperature);
    film.push_back(Draw(play.now()));
  }
  return film;
}

report::Film FilmSteps(agent::AgentModels models, std::unique_ptr<env::Environment> game,
                       const AgentFilmOptions& options) {
  const tokenizer::SpatialTokenizerOptions tokens = models->options().tokenizer;
  agent::DreamGame play(std::move(models), std::move(game));
  report::Film film{
      .title = "A game of the newest checkpoint",
      .views = {{.name = "the game"}, {.name = "drawn from its codes"}, {.name = "the dream"}}};
  auto codes = nlohmann::json::array();
  double score = 0;
  play.Begin(options.seed, options.lead);
  for (int64_t step = 0;; ++step) {
    const agent::DreamGameMoment& now = play.now();
    score += step == 0 ? 0 : now.game.reward;
    film.views[0].pictures.push_back(ToImage(now.picture));
    film.views[1].pictures.push_back(ToImage(now.game.picture));
    film.views[2].pictures.push_back(ToImage(now.dream.picture));
    film.captions.push_back(
        fmt::format("step {}, {}, score {}; dreamed for {} steps: score {}", options.lead + step,
                    now.action < 0 ? "no action yet"
                                   : play.spec().action_names[static_cast<size_t>(now.action)],
                    report::FormatNumber(score), now.step, report::FormatNumber(now.dream.score)));
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
  film.codes = {{"grid", tokens.grid}, {"level_codes", tokens.level_codes()}, {"steps", codes}};
  return film;
}

}  // namespace hidreamer::pipeline
