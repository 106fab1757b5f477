#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

// Options that several subcommands have, each declared once.
namespace hidreamer::app {

// --set KEY=VALUE, several times.
inline void AddOverrides(CLI::App& command, std::vector<std::string>& overrides,
                         const std::string& over) {
  command
      .add_option("--set", overrides,
                  "key=value, overrides " + over + "; may be given several times")
      ->take_all()
      ->expected(1);
}

template <class Count>
void AddThreads(CLI::App& command, Count& threads, const std::string& help = "0: all cores") {
  command.add_option("--threads", threads, help)->capture_default_str()->check(CLI::Range(0, 1024));
}

inline void AddDevice(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "of the networks: cpu, or cuda for a GPU")
      ->capture_default_str();
}

inline void AddGame(CLI::App& command, std::string& game) {
  command.add_option("--game", game, "ALE's name (pong, breakout, ms_pacman, …) or catch")
      ->required();
}

// How the real game is played: --protocol, --seed, --environments, --threads, --rom-dir.
template <class Options>
void AddPlaying(CLI::App& command, Options& options, std::string& protocol,
                std::filesystem::path& rom_dir) {
  command
      .add_option("--protocol", protocol,
                  "atari100k (no sticky actions, no-op starts) or v5 (sticky actions)")
      ->capture_default_str()
      ->check(CLI::IsMember({"atari100k", "v5"}));
  command.add_option("--seed", options.seed, "root of every random choice")->capture_default_str();
  command.add_option("--environments", options.environments, "games played side by side")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  AddThreads(command, options.threads, "0: all cores; changes only the speed");
  command.add_option("--rom-dir", rom_dir,
                     "directory of GAME.bin files (default: $HIDREAMER_ROM_DIR, .deps/ale/roms)");
}

}  // namespace hidreamer::app
