#pragma once

#include <array>
#include <memory>

#include "hidreamer/base/seed.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::env {

// A tiny built-in game for tests and first steps. On a 12x12 board (7x7 pixels a cell) a ball falls
// one cell a step from a random column; a paddle of one cell at the bottom moves one cell a step.
// Reward 1 for a caught ball, -1 for a missed one. A game is 10 balls, 11 steps each: 110 steps.
// Perfect play scores 10 (every column can be reached in time); doing nothing -8.3 on average.
// Protocol "v5" repeats the previous action with probability 0.25, "atari100k" does not.
class CatchEnvironment : public Environment {
 public:
  enum Action { kStay = 0, kLeft = 1, kRight = 2 };
  static constexpr int kCells = 12;  // board height and width
  static constexpr int kBalls = 10;  // in a game
  static constexpr int kBestScore = kBalls;
  // Cells; bytes of ram().
  static constexpr int kBallXByte = 0;
  static constexpr int kBallYByte = 1;
  static constexpr int kPaddleXByte = 2;
  static constexpr int kBallsLeftByte = 3;

  // `max_frames` as in EnvironmentOptions, 4 a step.
  CatchEnvironment(const std::string& protocol, int64_t max_frames);

  const EnvironmentSpec& spec() const override { return spec_; }
  void Reset(uint64_t seed) override;
  StepResult Step(int action) override;
  std::span<const uint8_t, kFrameBytes> frame() const override { return frame_; }
  std::span<const uint8_t, kRamBytes> ram() const override { return ram_; }

 private:
  void DropBall();
  void Draw();

  EnvironmentSpec spec_;
  double sticky_probability_;
  int64_t max_steps_;
  Rng rng_{0};
  bool playing_ = false;
  int64_t steps_ = 0;
  int balls_left_ = 0;
  int ball_x_ = 0;
  int ball_y_ = 0;
  int paddle_x_ = 0;
  int last_action_ = kStay;
  std::array<uint8_t, kFrameBytes> frame_{};
  std::array<uint8_t, kRamBytes> ram_{};
};

}  // namespace hidreamer::env
