#include "hidreamer/evaluation/ridge.h"

#include <gtest/gtest.h>

namespace hidreamer::evaluation {
namespace {

TEST(RidgeTest, RecoversALinearMap) {
  torch::manual_seed(1);
  const torch::Tensor map = torch::randn({12, 3}, torch::kFloat64);
  const torch::Tensor x = torch::randn({400, 12}, torch::kFloat64) * 3 + 5;
  const torch::Tensor y = x.mm(map) + torch::tensor({1.0, -2.0, 100.0}, torch::kFloat64);
  const RidgeModel model = FitRidge(x.slice(0, 0, 300), y.slice(0, 0, 300));
  const FitQuality fit = MeasureFit(model.Predict(x.slice(0, 300)), y.slice(0, 300));
  EXPECT_GT(fit.r2.min().item<double>(), 0.9999);
  EXPECT_LT(fit.mean_absolute_error.max().item<double>(), 0.01);
  const torch::Tensor recovered = model.weights / model.feature_scale.unsqueeze(1);
  EXPECT_TRUE(torch::allclose(recovered, map, 1e-3, 1e-3));
}

TEST(RidgeTest, NoiseGivesNoFit) {
  torch::manual_seed(2);
  const torch::Tensor x = torch::randn({2000, 40});
  const torch::Tensor y = torch::randn({2000, 2});
  const RidgeModel model = FitRidge(x.slice(0, 0, 1500), y.slice(0, 0, 1500));
  const FitQuality fit = MeasureFit(model.Predict(x.slice(0, 1500)), y.slice(0, 1500));
  EXPECT_NEAR(fit.r2[0].item<double>(), 0, 0.06);
  EXPECT_NEAR(fit.r2[1].item<double>(), 0, 0.06);
  EXPECT_GE(model.regularization.min().item<double>(), 1e-2) << "noise asks for a strong penalty";
}

TEST(RidgeTest, ConstantFeaturesAndTargetsDoNoHarm) {
  torch::manual_seed(3);
  torch::Tensor x = torch::randn({100, 4});
  x.select(1, 2).fill_(7);
  torch::Tensor y = x.slice(1, 0, 2).clone();
  y.select(1, 1).fill_(3);
  const RidgeModel model = FitRidge(x, y);
  const FitQuality fit = MeasureFit(model.Predict(x), y);
  EXPECT_GT(fit.r2[0].item<double>(), 0.999);
  EXPECT_EQ(fit.r2[1].item<double>(), 0);
  EXPECT_NEAR(fit.mean_absolute_error[1].item<double>(), 0, 1e-9);
}

TEST(RidgeTest, FitQualityMatchesHandComputedValues) {
  const torch::Tensor truth = torch::tensor({{1.0}, {2.0}, {3.0}, {6.0}});  // mean 3, spread 14
  const torch::Tensor guess = torch::tensor({{1.0}, {3.0}, {3.0}, {4.0}});  // errors 0 1 0 2
  const FitQuality fit = MeasureFit(guess, truth);
  EXPECT_NEAR(fit.r2[0].item<double>(), 1 - 5.0 / 14.0, 1e-9);
  EXPECT_NEAR(fit.mean_absolute_error[0].item<double>(), 0.75, 1e-9);
}

TEST(RidgeTest, PrincipalComponentsFindTheDirectionsOfSpreadBothWays) {
  torch::manual_seed(4);
  const torch::Tensor scale = torch::tensor({10.0, 5.0, 0.01, 0.01, 0.01, 0.01});
  for (const int64_t rows : {4, 300}) {  // fewer rows than columns, and more
    const torch::Tensor x = torch::randn({rows, 6}) * scale + 2;
    const PrincipalComponents components = FitPrincipalComponents(x, 2);
    EXPECT_EQ(components.vectors.sizes(), (std::vector<int64_t>{6, 2}));
    const torch::Tensor back = components.Project(x).mm(components.vectors.t()) + components.mean;
    EXPECT_LT((back - x).abs().max().item<double>(), 0.1) << rows << " rows";
  }
}

TEST(RidgeTest, MaximumOfManyCorrelationsIsHighEvenForNoise) {
  torch::manual_seed(5);
  const torch::Tensor y = torch::randn({1000, 1});
  const torch::Tensor one = torch::randn({1000, 1});
  const torch::Tensor many = torch::randn({1000, 384});
  EXPECT_LT(MaxAbsoluteCorrelation(one, y).item<double>(), 0.1);
  EXPECT_GT(MaxAbsoluteCorrelation(many, y).item<double>(), 0.07);
  EXPECT_NEAR(MaxAbsoluteCorrelation(-2 * y, y).item<double>(), 1, 1e-6);
}

}  // namespace
}  // namespace hidreamer::evaluation
