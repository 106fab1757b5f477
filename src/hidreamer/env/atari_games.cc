// Registers the games of the Arcade Learning Environment that one player can play. Their names are
// known without it as well, so that a build without it can say what it lacks.
#include "hidreamer/env/atari_games.h"

#include <cstdlib>
#include <map>
#include <sstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#ifdef HID_WITH_ALE
#include "hidreamer/env/atari_environment.h"
#endif

namespace hidreamer::env {
namespace fs = std::filesystem;

namespace {

constexpr const char* kNames =
    "adventure air_raid alien amidar assault asterix asteroids atlantis atlantis2 backgammon "
    "bank_heist basic_math battle_zone beam_rider berzerk blackjack bowling boxing breakout "
    "carnival casino centipede chopper_command crazy_climber crossbow darkchambers "
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

using Table = std::vector<RamLabel>;

Table Breakout() {
  Table table = {
      {"ball_x", 99}, {"ball_y", 101}, {"player_x", 72}, {"blocks_hit", 77}, {"score", 84}};
  for (int i = 0; i < 30; ++i) {
    table.push_back({"bricks_" + std::to_string(i), i});
  }
  return table;
}

// Which byte holds what (Anand et al., 2019, AtariARI).
std::map<std::string, Table> LabelTables() {
  return {
      {"breakout", Breakout()},
      {"ms_pacman",
       {{"sue_x", 6},
        {"inky_x", 7},
        {"pinky_x", 8},
        {"blinky_x", 9},
        {"sue_y", 12},
        {"inky_y", 13},
        {"pinky_y", 14},
        {"blinky_y", 15},
        {"player_x", 10},
        {"player_y", 16},
        {"fruit_x", 11},
        {"fruit_y", 17},
        {"ghosts_count", 19},
        {"direction", 56},
        {"dots_eaten", 119},
        {"score", 120},
        {"lives", 123}}},
      {"pong",
       {{"player_y", 51},
        {"player_x", 46},
        {"enemy_y", 50},
        {"enemy_x", 45},
        {"ball_x", 49},
        {"ball_y", 54},
        {"enemy_score", 13},
        {"player_score", 14}}},
  };
}

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

bool HasRom(const std::string& game, const EnvironmentOptions& options) {
  const fs::path directory = FindRomDirectory(options);
  std::error_code code;
  return !directory.empty() && fs::is_regular_file(directory / (game + ".bin"), code);
}

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

#else

bool HasRom(const std::string& /*game*/, const EnvironmentOptions& /*options*/) { return false; }

std::unique_ptr<Environment> MakeAtari(const std::string& game, const std::string& /*protocol*/,
                                       const EnvironmentOptions& /*options*/) {
  throw UserError(
      "run scripts/setup and configure with -DHID_WITH_ALE=ON; the built-in game is 'catch'",
      "cannot play '{}': this build is without the Arcade Learning Environment", game);
}

#endif

bool RegisterAll() {
  auto labels = LabelTables();
  std::istringstream names(kNames);
  for (std::string name; names >> name;) {
    Register(
        {.name = name,
         .make =
             [name](const std::string& protocol, const EnvironmentOptions& options) {
               return MakeAtari(name, protocol, options);
             },
         .labels = labels[name],
         .is_here = [name](const EnvironmentOptions& options) { return HasRom(name, options); }});
  }
  return true;
}

[[maybe_unused]] const bool registered = RegisterAll();

}  // namespace

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
  for (const fs::path& candidate :
       {program / "roms", InstalledData("roms"), fs::path(HID_BUILD_ROM_DIR)}) {
    if (fs::is_directory(candidate, code)) {
      return candidate;
    }
  }
  return {};
}

}  // namespace hidreamer::env
