#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/data/windows.h"

namespace hidreamer::data {

struct ReplayBufferOptions {
  int64_t streams = 8;         // S, games played side by side
  int64_t frame_bytes = 4096;  // of one u8 frame
};

// Frame o_t, the action a_t chosen on it, and what followed.
struct ReplayStep {
  std::span<const uint8_t> frame;
  int action = 0;
  float reward = 0;       // unclipped
  bool terminal = false;  // the episode (or a life) ended after a_t
  bool first = false;     // o_t begins an episode (or a life)
};

// How windows are drawn; the rest of the draws is uniform over all windows.
struct SampleOptions {
  double recent_share = 0;  // from windows within the newest `recent_steps` of all streams
  int64_t recent_steps = 10000;
  // A step with a reward lies in the window's last `horizon` steps. Gains and losses come alike
  // often, however rare either is: else the first few points won would hardly be seen.
  double near_reward_share = 0;
  int64_t horizon = 15;
};

// B windows of T consecutive steps of a stream. A window may cross episode borders: `firsts` tells.
struct ReplayBatch {
  int64_t batch = 0, length = 0;
  std::vector<uint8_t> frames;                     // (B, T, frame_bytes)
  std::vector<int64_t> actions, previous_actions;  // (B, T); previous: a_{t-1}, 0 at the start
  std::vector<float> rewards;                      // (B, T)
  std::vector<uint8_t> terminals, firsts;          // (B, T) 0/1
};

// The memory of online learning, for one game. Forgets nothing: 100,000 steps of 64x64 pixels are
// 410 MB.
class ReplayBuffer {
 public:
  explicit ReplayBuffer(ReplayBufferOptions options);

  void Append(int64_t stream, const ReplayStep& step);
  int64_t size() const;                // steps of all streams
  int64_t size(int64_t stream) const;  // steps

  bool CanSample(int64_t length) const;  // some stream holds a window of `length` steps
  // Starts of `batch` windows.
  std::vector<WindowStart> Sample(int64_t batch, int64_t length, const SampleOptions& options,
                                  Rng& rng) const;
  // `frames`: false leaves them out.
  ReplayBatch Read(const std::vector<WindowStart>& starts, int64_t length,
                   bool frames = true) const;
  // All frames of a stream, (size(stream), frame_bytes); until the next Append.
  std::span<const uint8_t> frames(int64_t stream) const { return At(stream).frames; }
  int64_t streams() const { return options_.streams; }

  // Appends what is new since the last Save or Load to directory/stream_SS.{frames,steps} and cuts
  // off what a killed run wrote after its checkpoint. Returns the sizes of the streams, for a
  // checkpoint.
  std::vector<int64_t> Save(const std::filesystem::path& directory);
  // Reads the first `sizes` steps of each stream back; the run may be training still. Throws a user
  // Error where files are missing or too short.
  void Load(const std::filesystem::path& directory, const std::vector<int64_t>& sizes);
  // How many whole steps of each stream a directory holds. Throws a user Error where a file is
  // missing.
  std::vector<int64_t> SizesIn(const std::filesystem::path& directory) const;

 private:
  // A step without its frame, as it lies in the file.
  struct Record {
    float reward = 0;
    uint16_t action = 0;
    uint8_t terminal = 0;
    uint8_t first = 0;
  };
  static_assert(sizeof(Record) == 8);
  struct Stream {
    std::vector<uint8_t> frames;
    std::vector<Record> records;
    std::array<std::vector<int64_t>, 2> rewarded = {};  // steps with a loss, with a gain; ascending
    int64_t saved = 0;                                  // steps on disk
    void Note(int64_t step, float reward);
  };

  const Stream& At(int64_t stream) const { return streams_[static_cast<size_t>(stream)]; }
  // Uniform over windows; of each stream only its newest `newest` steps count.
  WindowStart Uniform(int64_t length, int64_t newest, Rng& rng) const;
  WindowStart NearReward(int64_t length, int64_t horizon, Rng& rng) const;

  ReplayBufferOptions options_;
  std::vector<Stream> streams_;
};

}  // namespace hidreamer::data
