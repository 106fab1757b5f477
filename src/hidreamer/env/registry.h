#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/env/environment.h"

// Every game registers itself from its own file, as in OpenSpiel; nobody else knows its name:
//
//   [[maybe_unused]] const bool registered = Register(
//       {.name = "catch", .make = Make<Catch>, .labels = {{"ball_x", 0}, {"ball_y", 1}}});
namespace hidreamer::env {

// Which byte of Environment::ram() holds which variable of a game: the truth that probes are
// fitted to.
struct RamLabel {
  std::string name;  // "ball_x"
  int byte = 0;      // in [0, 128)
};

struct EnvironmentOptions {
  // Where the ROMs of Atari's games lie (GAME.bin). Empty: atari_games.h says where else.
  std::filesystem::path rom_dir = {};
  int64_t max_frames = 108000;  // emulator frames after which an episode is truncated
};

// A game as it presents itself.
struct RegisteredGame {
  std::string name;  // of options, configs, files and run directories: a-z, 0-9 and _
  // Throws a user Error where it cannot be made. `protocol` and `options` are checked.
  std::function<std::unique_ptr<Environment>(const std::string& protocol,
                                             const EnvironmentOptions& options)>
      make;
  std::vector<RamLabel> labels = {};
  // Whether it can be made here; empty: always.
  std::function<bool(const EnvironmentOptions& options)> is_here = {};
};

// Makes a game known, before main() or in it. Returns true; throws an internal Error for a name
// that is taken or has other characters. The linker drops a file of a static library to which
// nothing refers: list it under REGISTERS in the library's CMakeLists.txt.
bool Register(RegisteredGame game);

// RegisteredGame::make of a class that is made from protocol and options.
template <class Game>
std::unique_ptr<Environment> Make(const std::string& protocol, const EnvironmentOptions& options) {
  return std::make_unique<Game>(protocol, options);
}

// All registered games, ascending, whether or not they can be made here.
std::vector<std::string> GameNames();

// Games that MakeEnvironment can make here, ascending.
std::vector<std::string> ListGames(const EnvironmentOptions& options = {});

// A game by any name that GameName (game_name.h) understands ("pong", "ALE/Pong-v5", "catch"),
// under protocol "atari100k" or "v5":
//   atari100k  1 to 30 single-frame no-ops at the start (fewer where max_frames leaves no more), 4
//   frames a step, maximum of the last two frames, no sticky actions
//   v5         no no-ops, 4 frames a step, last frame, each frame repeats the previous frame's
//   action with probability 0.25
// Throws a user Error with the nearest known name, or all of them, for an unknown one, and for a
// missing, foreign or unsupported ROM.
std::unique_ptr<Environment> MakeEnvironment(const std::string& name, const std::string& protocol,
                                             const EnvironmentOptions& options = {});

// Throws a user Error unless it is "atari100k" or "v5".
void CheckProtocol(const std::string& protocol);

// All labels of a game, in a fixed order; empty for games without any.
std::vector<RamLabel> RamLabels(const std::string& game);

// Byte of the variable `name`; throws an internal Error if the game has no such label.
int RamByte(const std::string& game, const std::string& name);

}  // namespace hidreamer::env
