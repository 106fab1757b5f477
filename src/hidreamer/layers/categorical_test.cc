#include "hidreamer/layers/categorical.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

namespace hidreamer::layers {
namespace {

TEST(CategoryAt, InvertsTheCumulativeDistribution) {
  const auto probabilities = torch::tensor({0.25F, 0.0F, 0.5F, 0.25F}).expand({6, 4});
  const auto uniforms = torch::tensor({0.0, 0.2499, 0.25, 0.7499, 0.75, 0.999999}, torch::kFloat64);
  const auto expected = torch::tensor({0, 0, 2, 2, 3, 3}, torch::kLong);
  EXPECT_TRUE(torch::equal(CategoryAt(probabilities, uniforms), expected));
}

// Against the definition; a draw within rounding of a boundary may fall on either side.
TEST(CategoryOfLogits, IsThatOfTheSoftmax) {
  torch::manual_seed(1);
  for (const int64_t categories : {1, 5, 64, 100}) {
    const auto logits = torch::randn({7, 300, categories}) * 4;
    const auto uniforms = torch::rand({7, 300});
    for (const double temperature : {0.5, 1.0}) {
      const auto found = CategoryOfLogits(logits, temperature, uniforms);
      const auto expected =
          CategoryAt(torch::softmax(logits.to(torch::kFloat64) / temperature, -1), uniforms);
      EXPECT_EQ(found.sizes(), expected.sizes());
      EXPECT_LE(found.ne(expected).sum().item<int64_t>(), 1) << categories;
    }
  }
  const auto last = CategoryOfLogits(torch::zeros({1, 3}), 1.0, torch::tensor({0.99999999}));
  EXPECT_EQ(last.item<int64_t>(), 2);
}

TEST(CategoryOfLogits, FollowsTheProbabilitiesAndTheSeed) {
  const auto logits = torch::tensor({0.1F, 0.6F, 0.3F}).log().expand({20000, 3});
  const auto draw = [&](uint64_t seed) {
    return CategoryOfLogits(
        logits, 1.0,
        torch::rand({20000}, at::make_generator<at::CPUGeneratorImpl>(seed), torch::kFloat64));
  };
  const auto sample = draw(3);
  EXPECT_TRUE(torch::equal(sample, draw(3)));
  EXPECT_FALSE(torch::equal(sample, draw(4)));
  EXPECT_NEAR((sample == 1).to(torch::kFloat64).mean().item<double>(), 0.6, 0.02);
  EXPECT_NEAR((sample == 0).to(torch::kFloat64).mean().item<double>(), 0.1, 0.02);
}

}  // namespace
}  // namespace hidreamer::layers
