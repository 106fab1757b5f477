#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

#include "hidreamer/data/episode_store.h"

namespace hidreamer::encoder {

// A recording for tests, removed at the end: in each episode a bright block moves down and right
// over a background that names the episode.
class TestRecording {
 public:
  TestRecording(const std::string& name, int64_t episodes, int64_t length)
      : path_(std::filesystem::temp_directory_path() /
              ("hid_encoder_" + name + "_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    data::StoreInfo info;
    info.game = name;
    info.protocol = "atari100k";
    info.policy = "test";
    info.action_names = {"NOOP", "FIRE"};
    info.extra = nlohmann::json::object();
    data::EpisodeStoreWriter writer(path_, info);
    std::array<uint8_t, env::kFrameBytes> frame{};
    const std::array<uint8_t, env::kRamBytes> ram{};
    for (int64_t e = 0; e < episodes; ++e) {
      for (int64_t t = 0; t < length; ++t) {
        frame.fill(static_cast<uint8_t>(20 * e));
        const int64_t corner = (3 * t + 11 * e) % (env::kFrameSize - 12);
        for (int64_t y = corner; y < corner + 12; ++y) {
          std::fill_n(frame.begin() + y * env::kFrameSize + (corner * 5) % 70, 12, uint8_t{255});
        }
        env::StepResult result;
        result.terminal = t + 1 == length;
        writer.Append({.frame = frame, .action = 0, .result = result, .ram = ram});
      }
    }
    writer.Finish();
  }
  ~TestRecording() { std::filesystem::remove_all(path_); }
  TestRecording(const TestRecording&) = delete;
  TestRecording& operator=(const TestRecording&) = delete;

  data::EpisodeStore Open() const { return data::EpisodeStore(path_); }

 private:
  std::filesystem::path path_;
};

}  // namespace hidreamer::encoder
