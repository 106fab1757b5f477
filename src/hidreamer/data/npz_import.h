#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hidreamer::data {

struct NpzImportOptions {
  std::string game = "unknown";
  std::string protocol = "v5";
  // Empty: "action 0", "action 1", … up to the largest action in the file.
  std::vector<std::string> action_names = {};
};

struct NpzImportSummary {
  int64_t steps = 0;
  int64_t episodes = 0;
  // Rows whose stack does not continue the one before within an episode.
  int64_t inconsistent_stacks = 0;
};

// Turns a NumPy archive with `states (N, 4, 84, 84)` u8, `actions (N)`, `rewards (N)` and `dones
// (N)` into an EpisodeStore at `store`. The newest frame of each stack is kept; it reads one stack
// at a time, so the archive may be larger than memory. Warns where stacks are inconsistent. Throws
// a user Error if the file is no such archive.
NpzImportSummary ImportNpz(const std::filesystem::path& npz, const std::filesystem::path& store,
                           const NpzImportOptions& options);

}  // namespace hidreamer::data
