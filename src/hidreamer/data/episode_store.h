#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "hidreamer/env/environment.h"

// A recorded game on disk. Row t holds the frame o_t, the action a_t taken on seeing it, the reward
// r_t and the end flags that followed. The frame after an episode's last action is not kept: row
// t+1 then is the first of the next episode.
namespace hidreamer::data {

struct EpisodeRange {
  int64_t begin = 0;  // rows [begin, end)
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

struct StoreInfo {
  std::string game;
  std::string protocol;
  std::string policy;  // who played
  std::vector<std::string> action_names;
  uint64_t seed = 0;
  nlohmann::json extra;  // anything else worth keeping (import source, …)
};

struct StepRecord {
  std::span<const uint8_t, env::kFrameBytes> frame;
  int action = 0;
  env::StepResult result;
  std::span<const uint8_t, env::kRamBytes> ram;  // RAM at the moment of the frame
};

class EpisodeStore;

// Writes a store; nothing is visible at `path` before Finish().
class EpisodeStoreWriter {
 public:
  // Throws a user Error if `path` cannot be written or holds anything but a recording.
  EpisodeStoreWriter(const std::filesystem::path& path, StoreInfo info);
  ~EpisodeStoreWriter();
  void Append(const StepRecord& record);
  // A recording that stops in the middle of an episode: marks the last row truncated.
  void EndEpisode();
  // Appends all rows of another store of the same game; compressed frames are copied as they are.
  void AppendStore(const EpisodeStore& store);
  int64_t size() const;
  // Ends the last episode and puts the store at `path`, replacing the recording that was there.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Read access to a store: columns are mapped, frames are decompressed block by block. Safe for
// concurrent readers.
class EpisodeStore {
 public:
  // Throws a user Error if the directory is missing, truncated, corrupt or of another format
  // version.
  explicit EpisodeStore(const std::filesystem::path& path);
  ~EpisodeStore();
  EpisodeStore(EpisodeStore&&) noexcept;

  const StoreInfo& info() const;
  int64_t size() const;  // N, rows
  int num_actions() const { return static_cast<int>(info().action_names.size()); }
  std::span<const uint8_t> actions() const;           // (N)
  std::span<const float> rewards() const;             // (N) unclipped
  std::span<const uint8_t> terminals() const;         // (N) 0/1
  std::span<const uint8_t> truncateds() const;        // (N) 0/1
  std::span<const uint8_t> lives() const;             // (N) after the step
  std::span<const uint8_t> ram() const;               // (N, 128)
  const std::vector<EpisodeRange>& episodes() const;  // ascending, covering all rows
  // The episode that row belongs to.
  const EpisodeRange& EpisodeOf(int64_t row) const;

  // Frames of rows [begin, end) into out (end - begin, 84, 84).
  void ReadFrames(int64_t begin, int64_t end, uint8_t* out) const;
  // The rows whose frames are the observation of a row, oldest first; the episode's first is
  // repeated before its start.
  std::array<int64_t, env::kStackDepth> RowsOfStack(int64_t row) const;
  // Observation of a row into out (4, 84, 84).
  void ReadStack(int64_t row, uint8_t* out) const;
  // Stacks of several rows into out (rows.size(), 4, 84, 84).
  void ReadStacks(std::span<const int64_t> rows, uint8_t* out) const;

  // Size of the compressed frames.
  uint64_t frame_bytes() const;

  // From now on a block that was decompressed once stays in memory, size() frames at most. For many
  // passes in random order, before other threads read.
  void KeepFrames();

 private:
  friend class EpisodeStoreWriter;
  void ForEachBlock(
      const std::function<void(std::span<const char> block, uint32_t rows)>& visit) const;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hidreamer::data
