#include "hidreamer/env/make_environment.h"

#include <algorithm>
#include <cstdlib>

#include "hidreamer/base/error.h"
#include "hidreamer/config/game_names.h"
#include "hidreamer/env/catch_environment.h"
#ifdef HID_WITH_ALE
#include "hidreamer/env/atari_environment.h"
#endif

namespace hidreamer::env {
namespace fs = std::filesystem;

namespace {

constexpr const char* kCatch = "catch";
constexpr const char* kRomDirVariable = "HIDREAMER_ROM_DIR";

fs::path NamedRomDirectory(const fs::path& directory, const std::string& source) {
  std::error_code code;
  if (!fs::is_directory(directory, code)) {
    throw UserError(
        "it should be a directory of GAME.bin files; scripts/setup fills .deps/ale/roms",
        "{} names {}, which is not a directory", source, directory.string());
  }
  return directory;
}

}  // namespace

void CheckProtocol(const std::string& protocol) {
  if (protocol != "atari100k" && protocol != "v5") {
    throw UserError("choose atari100k or v5", "no protocol is called '{}'", protocol);
  }
}

fs::path FindRomDirectory(const EnvironmentOptions& options) {
  if (!options.rom_dir.empty()) {
    return NamedRomDirectory(options.rom_dir, "--rom-dir");
  }
  const char* variable = std::getenv(kRomDirVariable);
  if (variable != nullptr && *variable != '\0') {
    return NamedRomDirectory(variable, kRomDirVariable);
  }
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code).parent_path();
  for (const fs::path& candidate : {program / "roms", fs::path(HID_BUILD_ROM_DIR)}) {
    if (fs::is_directory(candidate, code)) {
      return candidate;
    }
  }
  return {};
}

std::vector<std::string> ListGames(const EnvironmentOptions& options) {
#ifdef HID_WITH_ALE
  const fs::path directory = FindRomDirectory(options);
#else
  static_cast<void>(options);
  const fs::path directory;
#endif
  std::vector<std::string> games;
  for (const std::string& game : config::GameNames()) {
    std::error_code code;
    if (game == kCatch ||
        (!directory.empty() && fs::is_regular_file(directory / (game + ".bin"), code))) {
      games.push_back(game);
    }
  }
  return games;
}

#ifdef HID_WITH_ALE

namespace {

std::unique_ptr<Environment> MakeAtari(const std::string& game, const std::string& protocol,
                                       const EnvironmentOptions& options) {
  const fs::path directory = FindRomDirectory(options);
  if (directory.empty()) {
    throw UserError("run scripts/setup for the ROMs, or point --rom-dir at them",
                    "cannot play '{}': no ROMs here", game);
  }
  return std::make_unique<AtariEnvironment>(game, protocol, directory / (game + ".bin"),
                                            options.max_frames);
}

}  // namespace

#else

namespace {

std::unique_ptr<Environment> MakeAtari(const std::string& game, const std::string& /*protocol*/,
                                       const EnvironmentOptions& /*options*/) {
  throw UserError(
      "run scripts/setup and configure with -DHID_WITH_ALE=ON; the built-in game is 'catch'",
      "cannot play '{}': this build is without the Arcade Learning Environment", game);
}

}  // namespace

#endif

std::unique_ptr<Environment> MakeEnvironment(const std::string& name, const std::string& protocol,
                                             const EnvironmentOptions& options) {
  const std::string game = config::GameName(name);
  if (!std::binary_search(config::GameNames().begin(), config::GameNames().end(), game)) {
    const std::string nearest = config::NearestGame(name);
    throw UserError(nearest.empty() ? "games have ALE's names, such as pong or ms_pacman"
                                    : fmt::format("did you mean '{}'?", nearest),
                    "no game for one player is called '{}'", name);
  }
  CheckProtocol(protocol);
  if (options.max_frames < 1) {
    throw UserError("108000 is usual", "the frame limit is {}", options.max_frames);
  }
  if (game == kCatch) {
    return std::make_unique<CatchEnvironment>(protocol, options.max_frames);
  }
  return MakeAtari(game, protocol, options);
}

}  // namespace hidreamer::env
