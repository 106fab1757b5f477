#include "hidreamer/env/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/env/drawn_environment.h"

namespace hidreamer::env {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr int kHeight = 30, kWidth = 100;

// A light that walks along a strip until it falls off an end. As it is registered, the property
// kit of environment_test.cc runs over it too.
class Walk : public DrawnEnvironment {
 public:
  Walk(const std::string& protocol, const EnvironmentOptions& options)
      : DrawnEnvironment({"test_walk", protocol, {"STAY", "LEFT", "RIGHT"}}, kHeight, kWidth,
                         options) {}

 private:
  void Begin(Rng& rng) override { x_ = 40 + static_cast<int>(rng.UniformInt(20)); }
  StepResult Play(int action, Rng& rng) override {
    x_ += (action == 1 ? -1 : action == 2 ? 1 : 0) * (1 + static_cast<int>(rng.UniformInt(3)));
    return {.reward = 0.5F, .terminal = x_ < 0 || x_ >= kWidth};
  }
  void Draw(std::span<uint8_t> picture, std::span<uint8_t, kRamBytes> ram) const override {
    for (int y = 0; y < kHeight; ++y) {
      picture[static_cast<size_t>(y * kWidth + std::clamp(x_, 0, kWidth - 1))] = 255;
    }
    ram[7] = static_cast<uint8_t>(x_);
  }

  int x_ = 0;
};

const bool registered =
    Register({.name = "test_walk", .make = Make<Walk>, .labels = {{"light_x", 7}}});

TEST(Registry, AGameOfAnotherFileIsKnownByItsName) {
  ASSERT_TRUE(registered);
  EXPECT_THAT(GameNames(), Contains("test_walk"));
  EXPECT_THAT(ListGames(), Contains("test_walk"));
  EXPECT_EQ(MakeEnvironment("TestWalk-v5", "v5")->spec().game, "test_walk");
  EXPECT_EQ(RamByte("test_walk", "light_x"), 7);
}

TEST(Registry, KnowsCatchThoughNothingRefersToItsFile) {
  EXPECT_THAT(GameNames(), Contains("catch"));
  EXPECT_EQ(RamLabels("catch").size(), 3U);
}

TEST(Registry, ShowsAPictureOfAnotherSizeByAreaAveraging) {
  const auto game = MakeEnvironment("test_walk", "atari100k");
  game->Reset(3);
  std::vector<uint8_t> picture(kHeight * kWidth), expected(kFrameBytes);
  const int x = game->ram()[7];
  for (int y = 0; y < kHeight; ++y) {
    picture[static_cast<size_t>(y * kWidth + x)] = 255;
  }
  ResizeByDefinition(picture.data(), kHeight, kWidth, expected.data(), kFrameSize, kFrameSize);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), game->frame().begin()));
}

TEST(Registry, AnUnknownNameIsAnsweredWithTheNearestOrAllKnownOnes) {
  const auto hint = [](const std::string& name) {
    try {
      MakeEnvironment(name, "v5");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUser);
      return error.hint();
    }
    return std::string("none");
  };
  EXPECT_EQ(hint("test_wlak"), "did you mean 'test_walk'?");
  EXPECT_THAT(hint("a game of my own"), HasSubstr("catch, "));
  EXPECT_THAT(hint("a game of my own"), HasSubstr("test_walk"));
}

TEST(Registry, RefusesNamesThatAreTakenOrNoNames) {
  EXPECT_THROW(Register({.name = "catch", .make = Make<Walk>}), Error);
  EXPECT_THROW(Register({.name = "My Game", .make = Make<Walk>}), Error);
  EXPECT_THROW(Register({.name = "", .make = Make<Walk>}), Error);
  EXPECT_THROW(Register({.name = "my_game", .make = nullptr}), Error);
  EXPECT_THAT(GameNames(), ::testing::Not(Contains("my_game")));
}

}  // namespace
}  // namespace hidreamer::env
