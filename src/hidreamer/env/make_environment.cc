#include "hidreamer/env/make_environment.h"

#include <algorithm>
#include <cstdlib>

#include "hidreamer/base/error.h"
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

#ifdef HID_WITH_ALE
std::vector<std::string> RomNames(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    if (entry.path().extension() == ".bin") {
      names.push_back(entry.path().stem().string());
    }
  }
  return names;
}
#endif

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
  std::vector<std::string> games;
#ifdef HID_WITH_ALE
  const fs::path directory = FindRomDirectory(options);
  if (!directory.empty()) {
    games = RomNames(directory);
  }
#else
  static_cast<void>(options);
#endif
  games.emplace_back(kCatch);
  std::sort(games.begin(), games.end());
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
  const std::vector<std::string> games = ListGames(options);
  if (std::find(games.begin(), games.end(), game) == games.end()) {
    const std::string nearest = NearestName(game, games);
    throw UserError(nearest.empty() ? fmt::format("games are the *.bin files of {}, and catch",
                                                  directory.string())
                                    : fmt::format("did you mean '{}'?", nearest),
                    "no game is called '{}'", game);
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

std::unique_ptr<Environment> MakeEnvironment(const std::string& game, const std::string& protocol,
                                             const EnvironmentOptions& options) {
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
