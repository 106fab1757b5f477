#include "hidreamer/nn/figures.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::nn {
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

}  // namespace
}  // namespace hidreamer::nn
