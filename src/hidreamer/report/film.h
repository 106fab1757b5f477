#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/data/episode_store.h"
#include "hidreamer/report/image.h"

namespace hidreamer::report {

// Steps of a game that a page shows one by one: the pictures of each view in one PNG, row by row.
struct Film {
  std::string title;
  struct View {
    std::string name;
    std::vector<Image> pictures = {};  // one a step, all of one size
  };
  std::vector<View> views = {};
  std::vector<std::string> captions = {};  // one a step
  nlohmann::json codes = {};  // {"grid", "level_codes", "steps": [of each step, P x L codes]}
};

// {"title", "steps", "captions", "codes", "columns", "views": [{"name", "width", "height",
//  "picture": data URL}]}
nlohmann::json ToJson(const Film& film);

// The dream of evaluation/dream_GAME.json beside what happened. Steps whose frame is missing are
// left out.
Film FilmOfDream(const nlohmann::json& dream, const std::function<Image(int64_t row)>& frame);

// The first games of a recording, at most so many steps. title: "Games of the last evaluation".
Film FilmOfRecording(const data::EpisodeStore& store, const std::string& title, int64_t most_steps);

}  // namespace hidreamer::report
