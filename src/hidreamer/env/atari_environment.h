#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "hidreamer/base/seed.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::env {

// A game of the Arcade Learning Environment (Bellemare et al., 2013) through its C++ library.
// Compiled only with HID_WITH_ALE. Protocols: registry.h. Frames are gray (0.299 R +
// 0.587 G + 0.114 B) and shrunk to 84x84 by area averaging. An episode follows from game, protocol
// and seed alone: what the instance played before leaves no trace.
class AtariEnvironment : public Environment {
 public:
  // `rom` must be the uncompressed ROM of `game`; throws a user Error if it is missing, foreign or
  // not supported by ALE.
  AtariEnvironment(const std::string& game, const std::string& protocol,
                   const std::filesystem::path& rom, int64_t max_frames);
  ~AtariEnvironment() override;

  const EnvironmentSpec& spec() const override { return spec_; }
  void Reset(uint64_t seed) override;
  StepResult Step(int action) override;
  std::span<const uint8_t, kFrameBytes> frame() const override { return frame_; }
  Screen screen() const override;
  std::span<const uint8_t, kRamBytes> ram() const override { return ram_; }

 private:
  struct Emulator;  // keeps ALE's headers out of ours

  float PlayFrame(int action);  // returns the reward
  void Observe(bool pooled);

  EnvironmentSpec spec_;
  bool sticky_;    // repeat the previous action with probability 0.25, frame by frame
  bool max_pool_;  // maximum of the last two frames
  bool no_ops_;    // 1 to 30 single-frame no-ops at the start
  int64_t max_frames_;
  bool playing_ = false;
  Rng rng_{0};
  std::unique_ptr<Emulator> emulator_;
  std::array<uint8_t, kFrameBytes> frame_{};
  std::array<uint8_t, kRamBytes> ram_{};
};

}  // namespace hidreamer::env
