#include "hidreamer/training/figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

TEST(Figures, ReadsNumbersOfAnyType) {
  Figures figures;
  figures.Add("loss", torch::tensor(0.5));
  figures.Add("hits", torch::tensor(3, torch::kLong));
  figures.Add("lr", 1e-4);
  EXPECT_EQ(figures.Read(), (nlohmann::json{{"loss", 0.5}, {"hits", 3.0}, {"lr", 1e-4}}));
}

TEST(Figures, KeepsWholeNumbersWhole) {
  Figures figures, others;
  figures.Add("steps", int64_t{3});
  others.Add("loss", torch::tensor(0.5));
  EXPECT_TRUE(figures.AtHand());
  figures.Add(others);
  EXPECT_EQ(figures.Read().dump(), R"({"loss":0.5,"steps":3})");
}

TEST(Figures, AveragesWhatHasOneName) {
  Figures figures;
  figures.Add("loss", torch::tensor(1.0));
  figures.Add("loss", torch::tensor({4.0}));
  EXPECT_EQ(figures.Read(), (nlohmann::json{{"loss", 2.5}}));
}

TEST(Figures, KeepsNoGraph) {
  Figures figures;
  const auto x = torch::ones({}, torch::requires_grad());
  figures.Add("loss", x * 2);
  EXPECT_EQ(figures.Read()["loss"], 2.0);
}

TEST(Figures, RefusesVectors) {
  Figures figures;
  EXPECT_THROW(figures.Add("loss", torch::ones({2})), Error);
}

TEST(Figures, NameANumberThatIsNoneAtOnce) {
  Figures figures;
  for (const double number : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    try {
      figures.Add("grad_norm", torch::tensor(number));
      ADD_FAILURE() << number;
    } catch (const NotFinite& error) {
      EXPECT_EQ(error.number(), "grad_norm");
    }
  }
}

TEST(Figures, ReadsThoseOfManyUpdatesOnEveryDevice) {
  for (const torch::Device device : {torch::Device(torch::kCPU), torch::Device(torch::kCUDA)}) {
    if (device.is_cuda() && !torch::cuda::is_available()) {
      continue;
    }
    std::vector<Figures> updates(3);
    for (size_t i = 0; i < updates.size(); ++i) {
      const auto number = static_cast<double>(i);
      updates[i].Add("loss", torch::tensor(number, torch::kFloat32).to(device));
      updates[i].Add("scale", torch::tensor(10 * number, torch::kFloat64).to(device));
      updates[i].Add("lr", 0.5);
    }
    const auto read = Figures::ReadAll(updates);
    ASSERT_EQ(read.size(), 3u);
    EXPECT_EQ(read[2], (nlohmann::json{{"loss", 2.0}, {"scale", 20.0}, {"lr", 0.5}}));
    EXPECT_EQ(read[1]["scale"], 10.0);
  }
}

}  // namespace
}  // namespace hidreamer::training
