#include "hidreamer/pipeline/agent_film.h"

#include <utility>

#include "hidreamer/agent/dream_game.h"
#include "hidreamer/agent/observation.h"

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

}  // namespace hidreamer::pipeline
