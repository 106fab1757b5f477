#include "hidreamer/env/drawn_environment.h"

#include <algorithm>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::env {

DrawnEnvironment::DrawnEnvironment(EnvironmentSpec spec, int height, int width,
                                   const EnvironmentOptions& options)
    : spec_(std::move(spec)),
      height_(height),
      width_(width),
      resizer_(height, width, kFrameSize, kFrameSize),
      picture_(static_cast<size_t>(height) * static_cast<size_t>(width)),
      max_steps_(std::max<int64_t>(options.max_frames / kFramesPerStep, 1)) {}

void DrawnEnvironment::Reset(uint64_t seed) {
  rng_ = Rng(seed);
  playing_ = true;
  steps_ = 0;
  last_action_ = 0;
  Begin(rng_);
  Show();
}

StepResult DrawnEnvironment::Step(int action) {
  HID_CHECK(playing_, "step after the end of an episode");
  HID_CHECK(action >= 0 && action < num_actions(), "action = {} of {}", action, num_actions());
  if (spec_.protocol == "v5" && rng_.Bernoulli(kStickyProbability)) {
    action = last_action_;
  }
  last_action_ = action;
  StepResult result = Play(action, rng_);
  ++steps_;
  result.truncated = !result.terminal && steps_ >= max_steps_;
  playing_ = !result.terminal && !result.truncated;
  Show();
  return result;
}

void DrawnEnvironment::Show() {
  std::fill(picture_.begin(), picture_.end(), uint8_t{0});
  ram_.fill(0);
  Draw(picture_, ram_);
  resizer_.Resize(picture_.data(), frame_.data());
}

}  // namespace hidreamer::env
