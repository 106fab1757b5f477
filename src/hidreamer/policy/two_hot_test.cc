#include "hidreamer/policy/two_hot.h"

#include <gtest/gtest.h>

namespace hidreamer::policy {
namespace {

TEST(Symlog, IsUndoneBySymexp) {
  const auto x = torch::tensor({-5000.0, -1.0, -1e-4, 0.0, 0.3, 21.0, 1e5}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(Symexp(Symlog(x)), x, 1e-12, 1e-12));
}

TEST(TwoHot, DecodesWhatItEncoded) {
  const auto x = torch::tensor({-9000.0, -20.5, -1.0, -0.01, 0.0, 0.01, 1.0, 7.0, 200.0, 9000.0},
                               torch::kFloat64);
  const auto encoded = TwoHotEncode(x);
  EXPECT_EQ(encoded.sizes(), (torch::IntArrayRef{10, ScalarCoding::kBins}));
  EXPECT_TRUE(torch::allclose(encoded.sum(-1), torch::ones({10}, torch::kFloat64)));
  EXPECT_LE((encoded > 0).sum(-1).max().item<int64_t>(), 2);
  EXPECT_GE(encoded.min().item<double>(), 0.0);
  EXPECT_TRUE(torch::allclose(TwoHotMean(encoded), x, 1e-9, 1e-9));
}

TEST(TwoHot, KeepsTheShapeOfBatches) {
  EXPECT_EQ(TwoHotEncode(torch::randn({2, 3})).sizes(),
            (torch::IntArrayRef{2, 3, ScalarCoding::kBins}));
}

TEST(TwoHot, ClampsToTheOuterBins) {
  const auto far = torch::tensor({-1e9, 1e9}, torch::kFloat64);
  const auto bins = TwoHotBins(torch::kFloat64);
  const auto decoded = TwoHotMean(TwoHotEncode(far));
  EXPECT_DOUBLE_EQ(decoded[0].item<double>(), bins[0].item<double>());
  EXPECT_DOUBLE_EQ(decoded[1].item<double>(), bins[-1].item<double>());
}

TEST(ScalarCoding, UniformOutputMeansExactlyZero) {
  const ScalarCoding coding(ScalarCoding::Kind::kTwoHot);
  EXPECT_EQ(coding.Value(torch::zeros({1, coding.outputs()})).item<float>(), 0.0F);
}

// The minimum of the expected loss lies at the mean of the targets, in plain units: rare rewards
// are not over- or underestimated.
TEST(ScalarCoding, TwoHotLearnsTheMeanOfNoisyTargets) {
  const ScalarCoding coding(ScalarCoding::Kind::kTwoHot);
  auto targets = torch::zeros({100});
  targets.narrow(0, 0, 5).fill_(10.0);  // mean 0.5
  auto logits = torch::zeros({coding.outputs()}).requires_grad_();
  for (int step = 0; step < 400; ++step) {
    const auto loss = coding.Loss(logits.expand({100, -1}), targets).mean();
    const auto gradient = torch::autograd::grad({loss}, {logits})[0];
    torch::NoGradGuard no_grad;
    logits.sub_(20 * gradient);
  }
  EXPECT_NEAR(coding.Value(logits).item<double>(), 0.5, 0.05);
}

TEST(ScalarCoding, SymlogMseIsHalfTheSquaredError) {
  const ScalarCoding coding(ScalarCoding::Kind::kSymlogMse);
  const auto output = torch::tensor({{0.5F}, {-1.0F}});
  const auto target = torch::tensor({0.0F, 1.0F});
  const auto loss = coding.Loss(output, target);
  EXPECT_NEAR(loss[0].item<double>(), 0.125, 1e-6);
  EXPECT_NEAR(loss[1].item<double>(), 0.5 * (1 + std::log(2.0)) * (1 + std::log(2.0)), 1e-5);
  EXPECT_NEAR(coding.Value(output)[0].item<double>(), std::expm1(0.5), 1e-6);
}

}  // namespace
}  // namespace hidreamer::policy
