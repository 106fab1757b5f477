#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/base/output_file.h"

// Options that several subcommands have, each declared once.
namespace hidreamer::app {

// Numbers of all options are decimal, and whole numbers may be written as 1e5. Called once all
// commands are there.
void ReadNumbersInDecimal(CLI::App& app);

// The run directory: RUN, or --run RUN.
CLI::Option* AddRun(CLI::App& command, std::filesystem::path& run,
                    const std::string& help = "run directory");

// The same for several.
CLI::Option* AddRuns(CLI::App& command, std::vector<std::filesystem::path>& runs,
                     const std::string& help);

// Throws a user Error unless it is a directory that a run or a stage has written into.
void CheckIsRun(const std::filesystem::path& run);

// The same for the commands that read what hidreamer run makes, and no online agent.
void CheckIsPipelineRun(const std::filesystem::path& run);

// A file to be written: CheckOutputFile before the work, WriteOutputFile after it. "-" stands for
// /dev/stdout.
CLI::Option* AddOutputFile(CLI::App& command, const std::string& name, std::filesystem::path& path,
                           const std::string& help);

// Where words for people go while `output` is written: stderr if that is standard output.
std::FILE* WordsBeside(const std::filesystem::path& output);

// --set KEY=VALUE, several times.
inline void AddOverrides(CLI::App& command, std::vector<std::string>& overrides,
                         const std::string& over) {
  command
      .add_option("--set", overrides,
                  "key=value, overrides " + over + "; may be given several times")
      ->take_all()
      ->expected(1);
}

inline void AddServe(CLI::App& command, bool& serve) {
  command.add_flag("--serve", serve,
                   "a page to watch it in a browser while it trains; afterwards: hidreamer serve");
}

template <class Count>
void AddThreads(CLI::App& command, Count& threads, const std::string& help = "0: all cores") {
  command.add_option("--threads", threads, help)->capture_default_str()->check(CLI::Range(0, 1024));
}

inline void AddDevice(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "of the networks: cpu, or cuda for a GPU")
      ->capture_default_str();
}

inline CLI::Option* AddGame(CLI::App& command, std::string& game) {
  return command.add_option("--game", game, "ALE's name (pong, breakout, ms_pacman, …) or catch");
}

// The game that is meant where none was given: the only one of `games`, which `run` holds as
// `what` ("recording"). Throws a user Error where there are several or none.
std::string OnlyGame(const std::filesystem::path& run, const std::vector<std::string>& games,
                     const std::string& what, const std::string& how_to_get_one);

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
