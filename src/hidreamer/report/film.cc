#include "hidreamer/report/film.h"

#include <fmt/format.h>

#include <algorithm>

#include "hidreamer/env/environment.h"
#include "hidreamer/report/html.h"

namespace hidreamer::report {
namespace {

constexpr int64_t kColumns = 32;

}  // namespace

nlohmann::json ToJson(const Film& film) {
  nlohmann::json views = nlohmann::json::array();
  for (const Film::View& view : film.views) {
    if (!view.pictures.empty()) {
      views.push_back(
          {{"name", view.name},
           {"width", view.pictures.front().width},
           {"height", view.pictures.front().height},
           {"picture", DataUrl(EncodePng(Tile(view.pictures, kColumns, /*gap=*/0)), "image/png")}});
    }
  }
  return {{"title", film.title},
          {"steps", film.captions.size()},
          {"captions", film.captions},
          {"codes", film.codes},
          {"columns", std::min(kColumns, std::max<int64_t>(1, std::ssize(film.captions)))},
          {"views", views}};
}

Film FilmOfDream(const nlohmann::json& dream, const std::function<Image(int64_t row)>& frame) {
  Film film{.title = "The last evaluation's dream of " + dream.value("game", "the game"),
            .views = {{.name = "the game"}, {.name = "the dream"}}};
  const auto add = [&](const nlohmann::json& game, const nlohmann::json& dreamed,
                       const std::string& caption) {
    Image left = frame(game.get<int64_t>()), right = frame(dreamed.get<int64_t>());
    if (!left.pixels.empty() && !right.pixels.empty()) {
      film.views[0].pictures.push_back(std::move(left));
      film.views[1].pictures.push_back(std::move(right));
      film.captions.push_back(caption);
    }
  };
  for (const auto& row : dream.value("context_rows", nlohmann::json::array())) {
    add(row, row, "before the dream begins");
  }
  const auto& truth = dream.at("truth_rows");
  const auto& rows = dream.at("dream_rows");
  for (size_t i = 0; i < std::min(truth.size(), rows.size()); ++i) {
    add(truth[i], rows[i], fmt::format("step {} of the dream", i + 1));
  }
  return film;
}

Film FilmOfRecording(const data::EpisodeStore& store, const std::string& title,
                     int64_t most_steps) {
  const int64_t steps = std::min(most_steps, store.size());
  Film film{.title = title + ", " + store.info().game, .views = {{.name = "the game"}}};
  std::vector<uint8_t> frames(static_cast<size_t>(steps * env::kFrameBytes));
  store.ReadFrames(0, steps, frames.data());
  double score = 0;
  for (int64_t row = 0; row < steps; ++row) {
    const data::EpisodeRange& episode = store.EpisodeOf(row);
    score = row == episode.begin ? 0 : score;
    score += static_cast<double>(store.rewards()[static_cast<size_t>(row)]);
    Image image(env::kFrameSize, env::kFrameSize);
    std::copy_n(frames.begin() + row * env::kFrameBytes, env::kFrameBytes, image.pixels.begin());
    film.views[0].pictures.push_back(std::move(image));
    film.captions.push_back(fmt::format("step {} of {}, score {}", row - episode.begin,
                                        episode.size(), FormatNumber(score)));
  }
  return film;
}

}  // namespace hidreamer::report
