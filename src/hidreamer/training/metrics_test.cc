#include "hidreamer/training/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

TEST(Metrics, ReadsNumbersOfAnyType) {
  Metrics metrics;
  metrics.Add("loss", torch::tensor(0.5));
  metrics.Add("hits", torch::tensor(3, torch::kLong));
  metrics.Add("lr", 1e-4);
  EXPECT_EQ(metrics.Read(), (nlohmann::json{{"loss", 0.5}, {"hits", 3.0}, {"lr", 1e-4}}));
}

TEST(Metrics, KeepsWholeNumbersWhole) {
  Metrics metrics, others;
  metrics.Add("steps", int64_t{3});
  others.Add("loss", torch::tensor(0.5));
  EXPECT_TRUE(metrics.AtHand());
  metrics.Add(others);
  EXPECT_EQ(metrics.Read().dump(), R"({"loss":0.5,"steps":3})");
}

TEST(Metrics, AveragesWhatHasOneName) {
  Metrics metrics;
  metrics.Add("loss", torch::tensor(1.0));
  metrics.Add("loss", torch::tensor({4.0}));
  EXPECT_EQ(metrics.Read(), (nlohmann::json{{"loss", 2.5}}));
}

TEST(Metrics, KeepsNoGraph) {
  Metrics metrics;
  const auto x = torch::ones({}, torch::requires_grad());
  metrics.Add("loss", x * 2);
  EXPECT_EQ(metrics.Read()["loss"], 2.0);
}

TEST(Metrics, RefusesVectors) {
  Metrics metrics;
  EXPECT_THROW(metrics.Add("loss", torch::ones({2})), Error);
}

TEST(Metrics, NameANumberThatIsNoneAtOnce) {
  Metrics metrics;
  for (const double number : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    try {
      metrics.Add("grad_norm", torch::tensor(number));
      ADD_FAILURE() << number;
    } catch (const NotFinite& error) {
      EXPECT_EQ(error.number(), "grad_norm");
    }
  }
}

TEST(Metrics, ReadsThoseOfManyUpdatesOnEveryDevice) {
  for (const torch::Device device : {torch::Device(torch::kCPU), torch::Device(torch::kCUDA)}) {
    if (device.is_cuda() && !torch::cuda::is_available()) {
      continue;
    }
    std::vector<Metrics> updates(3);
    for (size_t i = 0; i < updates.size(); ++i) {
      const auto number = static_cast<double>(i);
      updates[i].Add("loss", torch::tensor(number, torch::kFloat32).to(device));
      updates[i].Add("scale", torch::tensor(10 * number, torch::kFloat64).to(device));
      updates[i].Add("lr", 0.5);
    }
    const auto read = Metrics::ReadAll(updates);
    ASSERT_EQ(read.size(), 3u);
    EXPECT_EQ(read[2], (nlohmann::json{{"loss", 2.0}, {"scale", 20.0}, {"lr", 0.5}}));
    EXPECT_EQ(read[1]["scale"], 10.0);
  }
}

}  // namespace
}  // namespace hidreamer::training
