#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/env/environment.h"

namespace hidreamer::env {

struct EnvironmentOptions {
  // Where the ROMs lie (GAME.bin). Empty: $HIDREAMER_ROM_DIR, then `roms` beside the program, then
  // .deps/ale/roms of the source tree, whichever is there first.
  std::filesystem::path rom_dir = {};
  int64_t max_frames = 108000;  // emulator frames after which an episode is truncated
};

// A game by any name that config::GameName understands ("pong", "ALE/Pong-v5", "catch"), under
// protocol "atari100k" or "v5":
//   atari100k  1 to 30 single-frame no-ops at the start (fewer where max_frames leaves no more), 4
//   frames a step, maximum of the last two frames, no sticky actions
//   v5         no no-ops, 4 frames a step, last frame, each frame repeats the previous frame's
//   action with probability 0.25
// Throws a user Error naming the nearest known game for an unknown one, and for a missing, foreign
// or unsupported ROM.
std::unique_ptr<Environment> MakeEnvironment(const std::string& name, const std::string& protocol,
                                             const EnvironmentOptions& options = {});

// Games that MakeEnvironment can make here, ascending. Without ROMs: "catch" alone.
std::vector<std::string> ListGames(const EnvironmentOptions& options = {});

// The directory the ROMs are taken from; empty where there is none. Throws a user Error if
// `options` or $HIDREAMER_ROM_DIR name a directory that is not there.
std::filesystem::path FindRomDirectory(const EnvironmentOptions& options = {});

// Throws a user Error unless it is "atari100k" or "v5".
void CheckProtocol(const std::string& protocol);

}  // namespace hidreamer::env
