#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hidreamer/base/seed.h"
#include "hidreamer/env/area_resize.h"
#include "hidreamer/env/environment.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::env {

// A game of your own: derive from it, and write how an episode begins, what an action does, and how
// the game looks. The rest of an environment's promises is kept here: checked actions and ends, the
// frame limit (4 frames a step), protocol "v5" (repeats the previous action with probability 0.25)
// and pictures of any size, shown as 84x84 by area averaging. catch_environment.cc is one.
class DrawnEnvironment : public Environment {
 public:
  const EnvironmentSpec& spec() const final { return spec_; }
  void Reset(uint64_t seed) final;
  StepResult Step(int action) final;
  std::span<const uint8_t, kFrameBytes> frame() const final { return frame_; }
  Screen screen() const final { return ScreenOfGray(picture_, height_, width_); }
  std::span<const uint8_t, kRamBytes> ram() const final { return ram_; }

 protected:
  // `height` and `width`: of what Draw draws, in pixels.
  DrawnEnvironment(EnvironmentSpec spec, int height, int width, const EnvironmentOptions& options);

  // A new episode. All that is left to chance draws from `rng`.
  virtual void Begin(Rng& rng) = 0;
  // One step: its reward, whether the game is over, and lives. `truncated` is not looked at.
  virtual StepResult Play(int action, Rng& rng) = 0;
  // picture (height, width) u8 gray, row-major and black; `ram`, zeros, takes the variables that
  // the game's labels name.
  virtual void Draw(std::span<uint8_t> picture, std::span<uint8_t, kRamBytes> ram) const = 0;

 private:
  void Show();

  EnvironmentSpec spec_;
  int height_, width_;
  AreaResizer resizer_;
  std::vector<uint8_t> picture_;
  int64_t max_steps_;
  Rng rng_{0};
  bool playing_ = false;
  int64_t steps_ = 0;
  int last_action_ = 0;
  std::array<uint8_t, kFrameBytes> frame_{};
  std::array<uint8_t, kRamBytes> ram_{};
};

}  // namespace hidreamer::env
