#include "hidreamer/agent/pong_sight.h"

#include <gtest/gtest.h>

namespace hidreamer::agent {
namespace {

TEST(LookAtPong, FindsBallAndPaddle) {
  const auto background = torch::full({1, 1, 64, 64}, 0.4F);
  auto pictures = background.repeat({2, 1, 1, 1});
  pictures[0][0].narrow(0, 30, 2).narrow(1, 20, 2).fill_(0.8F);
  pictures[1][0].narrow(0, 40, 1).narrow(1, 33, 1).fill_(0.6F);
  pictures.narrow(2, 20, 6).narrow(3, 56, 2).fill_(0.9F);  // the own paddle, beside the field
  const Sighting seen = LookAtPong(pictures, background);
  EXPECT_NEAR(seen.x[0].item<float>(), 20.5, 1e-3);
  EXPECT_NEAR(seen.y[0].item<float>(), 30.5, 1e-3);
  EXPECT_NEAR(seen.x[1].item<float>(), 33, 1e-3);
  EXPECT_NEAR(seen.y[1].item<float>(), 40, 1e-3);
  EXPECT_NEAR(seen.paddle_y[0].item<float>(), 22.5, 1e-3);
  EXPECT_NEAR(seen.strength[1].item<float>(), 0.2, 1e-3);
}

}  // namespace
}  // namespace hidreamer::agent
