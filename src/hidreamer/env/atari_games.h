#pragma once

#include <filesystem>

#include "hidreamer/env/registry.h"

namespace hidreamer::env {

// The directory of the ROMs (GAME.bin): that of `options`, else $HIDREAMER_ROM_DIR, else `roms`
// beside the program, ../share/hidreamer/roms of an installed one, or .deps/ale/roms of the source
// tree, whichever is there first. Empty where there is none. Throws a user Error if `options` or
// $HIDREAMER_ROM_DIR name a directory that is not there.
std::filesystem::path FindRomDirectory(const EnvironmentOptions& options = {});

}  // namespace hidreamer::env
