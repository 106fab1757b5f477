#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hidreamer::env {

constexpr int kFrameSize = 84;                        // H = W
constexpr int kFrameBytes = kFrameSize * kFrameSize;  // one gray frame, row-major u8
constexpr int kStackDepth = 4;                        // frames in an observation, oldest first
constexpr int kRamBytes = 128;
constexpr int kFramesPerStep = 4;            // of the emulator, in an agent's step
constexpr double kStickyProbability = 0.25;  // of repeating the previous action, under v5

struct EnvironmentSpec {
  std::string game;                       // its name in the registry
  std::string protocol;                   // "atari100k" | "v5"
  std::vector<std::string> action_names;  // on Atari the minimal set in ascending ALE id; its size
                                          // is the number of actions
};

// What one agent step (4 emulator frames on Atari) gave.
struct StepResult {
  float reward = 0;        // unclipped sum over the skipped frames
  bool terminal = false;   // the game is over
  bool truncated = false;  // the frame limit cut it off
  int lives = 0;           // 0 all along in games without lives
};

// What a person sees of a game.
struct Screen {
  int height = 0, width = 0;
  std::vector<uint8_t> rgb = {};  // (height, width, 3), row-major
};
Screen ScreenOfGray(std::span<const uint8_t> picture, int height, int width);

// A game seen as gray 84x84 frames. Not thread-safe; instances are independent of each other.
class Environment {
 public:
  virtual ~Environment() = default;

  virtual const EnvironmentSpec& spec() const = 0;
  int num_actions() const { return static_cast<int>(spec().action_names.size()); }

  // Starts an episode; its no-ops, sticky actions and start state follow from `seed` alone.
  virtual void Reset(uint64_t seed) = 0;

  // Plays action index in [0, num_actions()); throws an internal Error outside it or after the end
  // of an episode.
  virtual StepResult Step(int action) = 0;

  // The current frame, (84, 84) u8 gray (max-pooled over the last two emulator frames under
  // atari100k).
  virtual std::span<const uint8_t, kFrameBytes> frame() const = 0;

  // The same moment in colours and at full size where the game has them; else frame() in gray.
  virtual Screen screen() const { return ScreenOfGray(frame(), kFrameSize, kFrameSize); }

  // RAM after the last emulator frame; zeros where the game has none.
  virtual std::span<const uint8_t, kRamBytes> ram() const = 0;
};

}  // namespace hidreamer::env
