// A game of your own in one file: a ship dodges meteors. It is all that is needed for
//   own_game agent --game meteors --preset test --out run     learns it
//   own_game eval run                                         scores what was learned
#include <hidreamer/env/drawn_environment.h>

#include <algorithm>
#include <string>

namespace {

using namespace hidreamer;

constexpr int kHeight = 12, kWidth = 16, kShip = 3;  // pixels; shown as 84x84
constexpr int kMeteors = 20;                         // in a game

class Meteors : public env::DrawnEnvironment {
 public:
  Meteors(const std::string& protocol, const env::EnvironmentOptions& options)
      : DrawnEnvironment({"meteors", protocol, {"STAY", "LEFT", "RIGHT"}}, kHeight, kWidth,
                         options) {}

 private:
  // All that is left to chance draws from `rng`: an episode follows from its seed.
  void Begin(Rng& rng) override {
    ship_ = (kWidth - kShip) / 2;
    left_ = kMeteors;
    Launch(rng);
  }

  env::StepResult Play(int action, Rng& rng) override {
    constexpr int kMoves[] = {0, -1, 1};
    ship_ = std::clamp(ship_ + kMoves[action], 0, kWidth - kShip);
    env::StepResult result;
    if (++y_ == kHeight - 1) {
      result.reward = x_ >= ship_ && x_ < ship_ + kShip ? -1.0F : 1.0F;
      result.terminal = --left_ == 0;
      Launch(rng);
    }
    return result;
  }

  void Draw(std::span<uint8_t> picture, std::span<uint8_t, env::kRamBytes> ram) const override {
    std::fill_n(picture.begin() + (kHeight - 1) * kWidth + ship_, kShip, uint8_t{150});
    picture[static_cast<size_t>(y_ * kWidth + x_)] = 255;
    ram[0] = static_cast<uint8_t>(ship_);
    ram[1] = static_cast<uint8_t>(x_);
    ram[2] = static_cast<uint8_t>(y_);
  }

  void Launch(Rng& rng) {
    x_ = static_cast<int>(rng.UniformInt(kWidth));
    y_ = 0;
  }

  int ship_ = 0, x_ = 0, y_ = 0, left_ = 0;
};

// The labels are what probes look for in the codes: which byte of `ram` holds which variable.
[[maybe_unused]] const bool registered =
    env::Register({.name = "meteors",
                   .make = env::Make<Meteors>,
                   .labels = {{"ship_x", 0}, {"meteor_x", 1}, {"meteor_y", 2}}});

}  // namespace
