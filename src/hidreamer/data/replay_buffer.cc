#include "hidreamer/data/replay_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::data {
namespace fs = std::filesystem;

namespace {

constexpr int kRewardTries = 16;  // of a reward that lies in a window at all

fs::path FileOf(const fs::path& directory, size_t stream, const char* kind) {
  return directory / fmt::format("stream_{:02}.{}", stream, kind);
}

// Writes bytes at `offset` of a file that may be longer, and cuts it there.
void WriteFrom(const fs::path& path, uint64_t offset, const void* bytes, size_t count) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  if (!file) {
    file.open(path, std::ios::out | std::ios::binary);
  }
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  file.close();
  if (!file) {
    throw UserError("is the disk full?", "cannot write {}", path.string());
  }
  fs::resize_file(path, offset + count);
  FlushToDisk(path);
}

void ReadAll(const fs::path& path, void* out, size_t count) {
  std::error_code missing;
  const auto size = fs::file_size(path, missing);
  if (missing || size < count) {
    throw UserError("the replay belongs to the checkpoint; begin anew in another directory",
                    "{} holds {} bytes of {}", path.string(), missing ? 0 : size, count);
  }
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(out), static_cast<std::streamsize>(count));
  if (!file) {
    throw UserError("", "cannot read {}", path.string());
  }
}

}  // namespace

ReplayBuffer::ReplayBuffer(ReplayBufferOptions options)
    : options_(options), streams_(static_cast<size_t>(options.streams)) {
  HID_CHECK(options.streams > 0 && options.frame_bytes > 0, "{} streams, {} bytes", options.streams,
            options.frame_bytes);
}

void ReplayBuffer::Stream::Note(int64_t step, float reward) {
  if (reward != 0) {
    rewarded[reward > 0 ? 1 : 0].push_back(step);
  }
}

void ReplayBuffer::Append(int64_t stream, const ReplayStep& step) {
  HID_CHECK(static_cast<int64_t>(step.frame.size()) == options_.frame_bytes, "{} bytes of {}",
            step.frame.size(), options_.frame_bytes);
  Stream& s = streams_[static_cast<size_t>(stream)];
  s.Note(static_cast<int64_t>(s.records.size()), step.reward);
  s.frames.insert(s.frames.end(), step.frame.begin(), step.frame.end());
  s.records.push_back({.reward = step.reward,
                       .action = static_cast<uint16_t>(step.action),
                       .terminal = static_cast<uint8_t>(step.terminal),
                       .first = static_cast<uint8_t>(step.first)});
}

int64_t ReplayBuffer::size() const {
  int64_t sum = 0;
  for (int64_t stream = 0; stream < options_.streams; ++stream) {
    sum += size(stream);
  }
  return sum;
}

int64_t ReplayBuffer::size(int64_t stream) const {
  return static_cast<int64_t>(At(stream).records.size());
}

bool ReplayBuffer::CanSample(int64_t length) const {
  return std::any_of(streams_.begin(), streams_.end(), [length](const Stream& stream) {
    return static_cast<int64_t>(stream.records.size()) >= length;
  });
}

WindowStart ReplayBuffer::Uniform(int64_t length, int64_t newest, Rng& rng) const {
  const auto windows = [&](int64_t stream) {
    return std::max<int64_t>(0, std::min(size(stream), std::max(newest, length)) - length + 1);
  };
  int64_t total = 0;
  for (int64_t stream = 0; stream < options_.streams; ++stream) {
    total += windows(stream);
  }
  int64_t drawn = rng.UniformInt(total);
  for (int64_t stream = 0;; ++stream) {
    if (drawn < windows(stream)) {
      return {.source = stream, .row = size(stream) - length - drawn};
    }
    drawn -= windows(stream);
  }
}

WindowStart ReplayBuffer::NearReward(int64_t length, int64_t horizon, Rng& rng) const {
  std::array<int64_t, 2> totals = {};
  for (const Stream& stream : streams_) {
    for (size_t kind = 0; kind < 2; ++kind) {
      totals[kind] += static_cast<int64_t>(stream.rewarded[kind].size());
    }
  }
  for (int attempt = 0; totals[0] + totals[1] > 0 && attempt < kRewardTries; ++attempt) {
    const size_t kind = totals[0] == 0 ? 1 : totals[1] == 0 ? 0 : rng.Bernoulli(0.5) ? 1 : 0;
    int64_t drawn = rng.UniformInt(totals[kind]);
    int64_t stream = 0;
    const auto events = [&] { return static_cast<int64_t>(At(stream).rewarded[kind].size()); };
    for (; drawn >= events(); ++stream) {
      drawn -= events();
    }
    const int64_t rewarded = At(stream).rewarded[kind][static_cast<size_t>(drawn)];
    const int64_t start = rewarded - (length - 1) + rng.UniformInt(std::min(horizon, length));
    if (start >= 0 && start + length <= size(stream)) {
      return {.source = stream, .row = start};
    }
  }
  return Uniform(length, size(), rng);
}

std::vector<WindowStart> ReplayBuffer::Sample(int64_t batch, int64_t length,
                                              const SampleOptions& options, Rng& rng) const {
  HID_CHECK(CanSample(length), "no stream holds {} steps", length);
  std::vector<WindowStart> starts;
  for (int64_t i = 0; i < batch; ++i) {
    const double kind = rng.Uniform();
    if (kind < options.near_reward_share) {
      starts.push_back(NearReward(length, options.horizon, rng));
    } else {
      const bool recent = kind < options.near_reward_share + options.recent_share;
      starts.push_back(
          Uniform(length, recent ? options.recent_steps / options_.streams : size(), rng));
    }
  }
  return starts;
}

ReplayBatch ReplayBuffer::Read(const std::vector<WindowStart>& starts, int64_t length,
                               bool frames) const {
  ReplayBatch batch{.batch = static_cast<int64_t>(starts.size()),
                    .length = length,
                    .frames = {},
                    .actions = {},
                    .previous_actions = {},
                    .rewards = {},
                    .terminals = {},
                    .firsts = {}};
  const int64_t bytes = options_.frame_bytes;
  batch.frames.resize(frames ? starts.size() * static_cast<size_t>(length * bytes) : 0);
  uint8_t* out = batch.frames.data();
  for (const WindowStart& start : starts) {
    HID_CHECK(start.row >= 0 && start.row + length <= size(start.source),
              "steps {} to {} of stream {}", start.row, start.row + length, start.source);
    const Stream& stream = At(start.source);
    if (frames && length > 0) {
      std::memcpy(out, stream.frames.data() + start.row * bytes,
                  static_cast<size_t>(length * bytes));
      out += length * bytes;
    }
    for (int64_t t = start.row; t < start.row + length; ++t) {
      const Record& record = stream.records[static_cast<size_t>(t)];
      batch.actions.push_back(record.action);
      batch.previous_actions.push_back(t > 0 ? stream.records[static_cast<size_t>(t - 1)].action
                                             : 0);
      batch.rewards.push_back(record.reward);
      batch.terminals.push_back(record.terminal);
      batch.firsts.push_back(record.first);
    }
  }
  return batch;
}

std::vector<int64_t> ReplayBuffer::Save(const fs::path& directory) {
  EnsureWritableDirectory(directory);
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    const auto saved = static_cast<size_t>(stream.saved);
    const size_t fresh = stream.records.size() - saved;
    const auto bytes = static_cast<size_t>(options_.frame_bytes);
    WriteFrom(FileOf(directory, i, "frames"), saved * bytes, stream.frames.data() + saved * bytes,
              fresh * bytes);
    WriteFrom(FileOf(directory, i, "steps"), saved * sizeof(Record), stream.records.data() + saved,
              fresh * sizeof(Record));
    stream.saved = static_cast<int64_t>(stream.records.size());
    sizes.push_back(stream.saved);
  }
  return sizes;
}

std::vector<int64_t> ReplayBuffer::SizesIn(const fs::path& directory) const {
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < streams_.size(); ++i) {
    const auto steps_of = [&](const char* kind, int64_t bytes) {
      const fs::path file = FileOf(directory, i, kind);
      std::error_code error;
      const auto size = fs::file_size(file, error);
      if (error) {
        throw UserError("give the run directory of an agent with its replay", "{}: {}",
                        file.string(), error.message());
      }
      return static_cast<int64_t>(size) / bytes;
    };
    sizes.push_back(
        std::min(steps_of("frames", options_.frame_bytes), steps_of("steps", sizeof(Record))));
  }
  return sizes;
}

void ReplayBuffer::Load(const fs::path& directory, const std::vector<int64_t>& sizes) {
  if (sizes.size() != streams_.size()) {
    throw UserError("collect.environments was another one", "{} holds {} streams, not {}",
                    directory.string(), sizes.size(), streams_.size());
  }
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    stream = {};
    stream.saved = sizes[i];
    const auto count = static_cast<size_t>(sizes[i]);
    stream.frames.resize(count * static_cast<size_t>(options_.frame_bytes));
    stream.records.resize(count);
    ReadAll(FileOf(directory, i, "frames"), stream.frames.data(), stream.frames.size());
    ReadAll(FileOf(directory, i, "steps"), stream.records.data(), count * sizeof(Record));
    for (size_t t = 0; t < count; ++t) {
      stream.Note(static_cast<int64_t>(t), stream.records[t].reward);
    }
  }
}

}  // namespace hidreamer::data
