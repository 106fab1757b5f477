#include "hidreamer/env/game_name.h"

#include <cctype>
#include <map>
#include <regex>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::env {
namespace {

// "ms_pacman" and "MsPacman" as "mspacman".
std::string LettersAndDigits(const std::string& name) {
  std::string kept;
  for (const char character : name) {
    if (const auto c = static_cast<unsigned char>(character); std::isalnum(c) != 0) {
      kept += static_cast<char>(std::tolower(c));
    }
  }
  return kept;
}

// The letters and digits of what is left of a name without Gym's prefix and endings.
std::string Essence(const std::string& name) {
  static const std::regex gym("(?:ALE/)?(.*?)(?:NoFrameskip|Deterministic)?(?:-v[0-9]+)?",
                              std::regex::ECMAScript | std::regex::icase);
  std::smatch parts;
  return std::regex_match(name, parts, gym) ? LettersAndDigits(parts[1]) : LettersAndDigits(name);
}

// Known games by their letters and digits.
std::map<std::string, std::string> GamesByEssence() {
  std::map<std::string, std::string> games;
  for (const std::string& game : GameNames()) {
    games[LettersAndDigits(game)] = game;
  }
  return games;
}

}  // namespace

std::string GameName(const std::string& name) {
  const auto games = GamesByEssence();
  const auto game = games.find(Essence(name));
  return game == games.end() ? name : game->second;
}

std::string NearestGame(const std::string& name) {
  const auto games = GamesByEssence();
  std::vector<std::string> essences;
  for (const auto& [essence, game] : games) {
    essences.push_back(essence);
  }
  const std::string nearest = NearestName(Essence(name), essences);
  return nearest.empty() ? "" : games.at(nearest);
}

}  // namespace hidreamer::env
