#include "hidreamer/env/registry.h"

#include <algorithm>
#include <map>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/env/game_name.h"

namespace hidreamer::env {
namespace {

// Made by whoever registers first.
std::map<std::string, RegisteredGame>& Games() {
  static std::map<std::string, RegisteredGame> games;
  return games;
}

bool IsPartOfAName(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

bool IsHere(const RegisteredGame& game, const EnvironmentOptions& options) {
  return !game.is_here || game.is_here(options);
}

}  // namespace

bool Register(RegisteredGame game) {
  HID_CHECK(!game.name.empty() && std::all_of(game.name.begin(), game.name.end(), IsPartOfAName),
            "a game cannot be called '{}'", game.name);
  HID_CHECK(game.make, "{} cannot be made", game.name);
  const std::string name = game.name;
  HID_CHECK(Games().emplace(name, std::move(game)).second, "two games are called '{}'", name);
  return true;
}

std::vector<std::string> GameNames() {
  std::vector<std::string> names;
  for (const auto& [name, game] : Games()) {
    names.push_back(name);
  }
  return names;
}

std::vector<std::string> ListGames(const EnvironmentOptions& options) {
  std::vector<std::string> names;
  for (const auto& [name, game] : Games()) {
    if (IsHere(game, options)) {
      names.push_back(name);
    }
  }
  return names;
}

void CheckProtocol(const std::string& protocol) {
  if (protocol != "atari100k" && protocol != "v5") {
    throw UserError("choose atari100k or v5", "no protocol is called '{}'", protocol);
  }
}

std::unique_ptr<Environment> MakeEnvironment(const std::string& name, const std::string& protocol,
                                             const EnvironmentOptions& options) {
  const auto game = Games().find(GameName(name));
  if (game == Games().end()) {
    const std::string nearest = NearestGame(name);
    throw UserError(nearest.empty() ? fmt::format("known are {}", fmt::join(GameNames(), ", "))
                                    : fmt::format("did you mean '{}'?", nearest),
                    "no game for one player is called '{}'", name);
  }
  CheckProtocol(protocol);
  if (options.max_frames < 1) {
    throw UserError("108000 is usual", "the frame limit is {}", options.max_frames);
  }
  auto made = game->second.make(protocol, options);
  HID_CHECK(made->spec().game == game->first, "'{}' calls itself '{}'", game->first,
            made->spec().game);
  return made;
}

std::vector<RamLabel> RamLabels(const std::string& game) {
  const auto found = Games().find(game);
  return found == Games().end() ? std::vector<RamLabel>{} : found->second.labels;
}

int RamByte(const std::string& game, const std::string& name) {
  for (const RamLabel& label : RamLabels(game)) {
    if (label.name == name) {
      return label.byte;
    }
  }
  HID_CHECK(false, "no RAM label '{}' for '{}'", name, game);
  return 0;
}

}  // namespace hidreamer::env
