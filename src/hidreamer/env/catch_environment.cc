// A tiny built-in game for tests and first steps. On a 12x12 board (7x7 pixels a cell) a ball falls
// one cell a step from a random column; a paddle of one cell at the bottom moves one cell a step.
// Reward 1 for a caught ball, -1 for a missed one. A game is 10 balls, 11 steps each: 110 steps.
// Perfect play scores 10 (every column can be reached in time); doing nothing -8.3 on average.
#include <algorithm>

#include "hidreamer/env/drawn_environment.h"

namespace hidreamer::env {
namespace {

constexpr int kCells = 12;  // board height and width
constexpr int kCellPixels = kFrameSize / kCells;
constexpr int kBalls = 10;  // in a game
constexpr uint8_t kBallGray = 236;
constexpr uint8_t kPaddleGray = 147;

class Catch : public DrawnEnvironment {
 public:
  Catch(const std::string& protocol, const EnvironmentOptions& options)
      : DrawnEnvironment({"catch", protocol, {"STAY", "LEFT", "RIGHT"}}, kFrameSize, kFrameSize,
                         options) {}

 private:
  void Begin(Rng& rng) override {
    balls_left_ = kBalls;
    paddle_x_ = static_cast<int>(rng.UniformInt(kCells));
    DropBall(rng);
  }

  StepResult Play(int action, Rng& rng) override {
    constexpr int kMoves[] = {0, -1, 1};
    paddle_x_ = std::clamp(paddle_x_ + kMoves[action], 0, kCells - 1);
    ++ball_y_;
    StepResult result;
    if (ball_y_ == kCells - 1) {
      result.reward = ball_x_ == paddle_x_ ? 1.0F : -1.0F;
      --balls_left_;
      if (balls_left_ > 0) {
        DropBall(rng);
      }
    }
    result.terminal = balls_left_ == 0;
    return result;
  }

  void Draw(std::span<uint8_t> picture, std::span<uint8_t, kRamBytes> ram) const override {
    FillCell(picture, paddle_x_, kCells - 1, kPaddleGray);
    FillCell(picture, ball_x_, ball_y_, kBallGray);
    ram[0] = static_cast<uint8_t>(ball_x_);
    ram[1] = static_cast<uint8_t>(ball_y_);
    ram[2] = static_cast<uint8_t>(paddle_x_);
    ram[3] = static_cast<uint8_t>(balls_left_);
  }

  void DropBall(Rng& rng) {
    ball_x_ = static_cast<int>(rng.UniformInt(kCells));
    ball_y_ = 0;
  }

  static void FillCell(std::span<uint8_t> picture, int x, int y, uint8_t gray) {
    for (int row = y * kCellPixels; row < (y + 1) * kCellPixels; ++row) {
      std::fill_n(picture.begin() + row * kFrameSize + x * kCellPixels, kCellPixels, gray);
    }
  }

  int balls_left_ = 0;
  int ball_x_ = 0;  // in cells
  int ball_y_ = 0;
  int paddle_x_ = 0;
};

[[maybe_unused]] const bool registered =
    Register({.name = "catch",
              .make = Make<Catch>,
              .labels = {{"ball_x", 0}, {"ball_y", 1}, {"paddle_x", 2}}});

}  // namespace
}  // namespace hidreamer::env
