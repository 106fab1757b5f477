#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hidreamer::data {

struct NpzImportOptions {
  std::string game = "unknown";
  std::string protocol = "v5";
  std::vector<std::string> action_names = {};  // the game's; empty: it is not known
  std::string actions = {};                    // as ActionMap takes it
};

struct NpzImportSummary {
  int64_t steps = 0;
  int64_t episodes = 0;
  // What was decided where the arrays are not quite as wanted; each a sentence.
  std::vector<std::string> notes;
};

// Turns a NumPy archive into an EpisodeStore at `store`, reading a row at a time, so that it may be
// larger than memory. Its arrays (all of N rows; a column may be (N, 1)):
//   states | observations | obs       NpzStates says which; of a stack the newest frame is kept
//   actions | action                  ActionMap says which
//   rewards | reward                  finite
//   dones | done                      0 or 1: an episode ends
//   terminals | terminations | …      0 or 1: the game ends
//   truncations | timeouts | …        0 or 1: an episode is cut off
// Ends may be missing. An episode also ends, cut off, where a stack does not continue the one
// before it. Throws a user Error that names the array and row for anything else; nothing is written
// then.
NpzImportSummary ImportNpz(const std::filesystem::path& npz, const std::filesystem::path& store,
                           const NpzImportOptions& options);

}  // namespace hidreamer::data
