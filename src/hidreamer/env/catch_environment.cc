#include "hidreamer/env/catch_environment.h"

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer::env {
namespace {

constexpr int kCellPixels = kFrameSize / CatchEnvironment::kCells;
constexpr uint8_t kBallGray = 236;
constexpr uint8_t kPaddleGray = 147;
constexpr int kFramesPerStep = 4;

void FillCell(std::array<uint8_t, kFrameBytes>& frame, int x, int y, uint8_t gray) {
  for (int row = y * kCellPixels; row < (y + 1) * kCellPixels; ++row) {
    std::fill_n(frame.begin() + row * kFrameSize + x * kCellPixels, kCellPixels, gray);
  }
}

}  // namespace

CatchEnvironment::CatchEnvironment(const std::string& protocol, int64_t max_frames)
    : spec_{"catch", protocol, {"STAY", "LEFT", "RIGHT"}},
      sticky_probability_(protocol == "v5" ? 0.25 : 0.0),
      max_steps_(std::max<int64_t>(max_frames / kFramesPerStep, 1)) {}

void CatchEnvironment::Reset(uint64_t seed) {
  rng_ = Rng(seed);
  playing_ = true;
  steps_ = 0;
  balls_left_ = kBalls;
  last_action_ = kStay;
  paddle_x_ = static_cast<int>(rng_.UniformInt(kCells));
  DropBall();
  Draw();
}

StepResult CatchEnvironment::Step(int action) {
  HID_CHECK(playing_, "step after the end of an episode");
  HID_CHECK(action >= 0 && action < num_actions(), "action = {} of {}", action, num_actions());
  if (sticky_probability_ > 0 && rng_.Bernoulli(sticky_probability_)) {
    action = last_action_;
  }
  last_action_ = action;
  const int move = action == kLeft ? -1 : action == kRight ? 1 : 0;
  paddle_x_ = std::clamp(paddle_x_ + move, 0, kCells - 1);
  ++ball_y_;
  ++steps_;
  StepResult result;
  if (ball_y_ == kCells - 1) {
    result.reward = ball_x_ == paddle_x_ ? 1.0F : -1.0F;
    --balls_left_;
    if (balls_left_ > 0) {
      DropBall();
    }
  }
  result.terminal = balls_left_ == 0;
  result.truncated = !result.terminal && steps_ >= max_steps_;
  playing_ = !result.terminal && !result.truncated;
  Draw();
  return result;
}

void CatchEnvironment::DropBall() {
  ball_x_ = static_cast<int>(rng_.UniformInt(kCells));
  ball_y_ = 0;
}

void CatchEnvironment::Draw() {
  frame_.fill(0);
  FillCell(frame_, paddle_x_, kCells - 1, kPaddleGray);
  FillCell(frame_, ball_x_, ball_y_, kBallGray);
  ram_[kBallXByte] = static_cast<uint8_t>(ball_x_);
  ram_[kBallYByte] = static_cast<uint8_t>(ball_y_);
  ram_[kPaddleXByte] = static_cast<uint8_t>(paddle_x_);
  ram_[kBallsLeftByte] = static_cast<uint8_t>(balls_left_);
}

}  // namespace hidreamer::env
