#include "hidreamer/training/device.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

TEST(UseDevice, RefusesWhatIsNotThere) {
  EXPECT_EQ(UseDevice("cpu"), torch::Device(torch::kCPU));
  EXPECT_THROW(UseDevice("tpu"), Error);
  if (!torch::cuda::is_available()) {
    EXPECT_THROW(UseDevice("cuda"), Error);
  }
}

TEST(ToDevice, BringsTheSameNumbers) {
  const auto x = torch::arange(6).view({2, 3});
  for (const char* name : {"cpu", "cuda"}) {
    if (std::string(name) == "cuda" && !torch::cuda::is_available()) {
      continue;
    }
    const auto device = UseDevice(name);
    const auto moved = ToDevice(x, device);
    WaitFor(device);
    EXPECT_EQ(moved.device().type(), device.type());
    EXPECT_TRUE(moved.cpu().equal(x));
  }
}

}  // namespace
}  // namespace hidreamer::training
