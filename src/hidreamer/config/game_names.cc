#include "hidreamer/config/game_names.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "hidreamer/base/error.h"

namespace hidreamer::config {
namespace {

constexpr const char* kNames =
    "adventure air_raid alien amidar assault asterix asteroids atlantis atlantis2 backgammon "
    "bank_heist basic_math battle_zone beam_rider berzerk blackjack bowling boxing breakout "
    "carnival casino catch centipede chopper_command crazy_climber crossbow darkchambers "
    "defender demon_attack donkey_kong double_dunk earthworld elevator_action enduro entombed "
    "et fishing_derby flag_capture freeway frogger frostbite galaxian gopher gravitar hangman "
    "haunted_house hero human_cannonball ice_hockey jamesbond journey_escape kaboom kangaroo "
    "keystone_kapers king_kong klax koolaid krull kung_fu_master laser_gates lost_luggage "
    "mario_bros miniature_golf montezuma_revenge mr_do ms_pacman name_this_game othello pacman "
    "phoenix pitfall pitfall2 pong pooyan private_eye qbert riverraid road_runner robotank "
    "seaquest sir_lancelot skiing solaris space_invaders space_war star_gunner superman "
    "surround tennis tetris tic_tac_toe_3d time_pilot trondead turmoil tutankham up_n_down "
    "venture video_checkers video_chess video_cube video_pinball wizard_of_wor word_zapper "
    "yars_revenge zaxxon";

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
const std::map<std::string, std::string>& GamesByEssence() {
  static const std::map<std::string, std::string> games = [] {
    std::map<std::string, std::string> found;
    for (const std::string& game : GameNames()) {
      found[Essence(game)] = game;
    }
    return found;
  }();
  return games;
}

}  // namespace

const std::vector<std::string>& GameNames() {
  static const std::vector<std::string> names = [] {
    std::istringstream words(kNames);
    return std::vector<std::string>(std::istream_iterator<std::string>(words), {});
  }();
  return names;
}

std::string GameName(const std::string& name) {
  const auto game = GamesByEssence().find(Essence(name));
  return game == GamesByEssence().end() ? name : game->second;
}

std::string NearestGame(const std::string& name) {
  std::vector<std::string> essences;
  for (const auto& [essence, game] : GamesByEssence()) {
    essences.push_back(essence);
  }
  const std::string nearest = NearestName(Essence(name), essences);
  return nearest.empty() ? "" : GamesByEssence().at(nearest);
}

}  // namespace hidreamer::config
