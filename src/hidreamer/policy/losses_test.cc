#include "hidreamer/policy/losses.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

PolicyTargets OneStep(int64_t action, double advantage, double weight = 1) {
  return {torch::full({1, 1}, action, torch::kLong), torch::full({1, 1}, advantage),
          torch::full({1, 1}, weight)};
}

torch::Tensor GradientOf(const torch::Tensor& loss, const torch::Tensor& logits) {
  return torch::autograd::grad({loss}, {logits})[0].flatten();
}

TEST(ReinforceLoss, RaisesWhatDidBetterThanExpected) {
  auto logits = torch::zeros({1, 1, 3}).requires_grad_();
  const auto gradient = GradientOf(
      ReinforceLoss(ActionDistribution(logits, 0), OneStep(1, 2.0), torch::zeros({})), logits);
  // -A (1[a] - pi(a))
  EXPECT_NEAR(gradient[1].item<double>(), -2.0 * (1 - 1.0 / 3), 1e-5);
  EXPECT_NEAR(gradient[0].item<double>(), 2.0 / 3, 1e-5);
}

TEST(ReinforceLoss, StepsAfterAnEndTeachNothing) {
  auto logits = torch::randn({1, 1, 3}).requires_grad_();
  const auto gradient = GradientOf(
      ReinforceLoss(ActionDistribution(logits, 0.01), OneStep(1, 2.0, 0), torch::tensor(0.1F)),
      logits);
  EXPECT_EQ(gradient.abs().max().item<float>(), 0.0F);
}

TEST(ReinforceLoss, EntropyBonusFlattensThePolicy) {
  auto logits = torch::tensor({{{2.0F, 0.0F, 0.0F}}}).requires_grad_();
  const auto gradient = GradientOf(
      ReinforceLoss(ActionDistribution(logits, 0.01), OneStep(0, 0.0), torch::tensor(0.1F)),
      logits);
  EXPECT_GT(gradient[0].item<double>(), 0);  // descending lowers the likeliest action's logit
}

// Ratio pi / old of action 0, with pi = 1/2.
torch::Tensor PpoGradient(double ratio, double advantage) {
  auto logits = torch::zeros({1, 1, 2}).requires_grad_();
  const auto old = torch::full({1, 1}, std::log(0.5 / ratio));
  return GradientOf(
      PpoLoss(ActionDistribution(logits, 0), OneStep(0, advantage), old, 0.2, torch::zeros({})),
      logits);
}

TEST(PpoLoss, StopsAtTheClipInTheDirectionOfTheAdvantage) {
  EXPECT_LT(PpoGradient(1.0, 1.0)[0].item<double>(), 0);
  EXPECT_EQ(PpoGradient(1.3, 1.0)[0].item<double>(), 0);
  EXPECT_EQ(PpoGradient(0.7, -1.0)[0].item<double>(), 0);
}

TEST(PpoLoss, ComesBackFromBeyondTheClip) {
  EXPECT_GT(PpoGradient(1.3, -1.0)[0].item<double>(), 0);
  EXPECT_LT(PpoGradient(0.7, 1.0)[0].item<double>(), 0);
}

TEST(PpoLoss, HasReinforcesGradientOnFreshDreams) {
  torch::manual_seed(2);
  auto logits = torch::randn({2, 4, 3}).requires_grad_();
  const ActionDistribution distribution(logits, 0.01);
  const PolicyTargets targets{torch::randint(3, {2, 4}, torch::kLong), torch::randn({2, 4}),
                              torch::rand({2, 4})};
  const auto old = distribution.LogProb(targets.actions).detach();
  const auto reinforce = ReinforceLoss(distribution, targets, torch::tensor(0.01F));
  const auto ppo = PpoLoss(distribution, targets, old, 0.2, torch::tensor(0.01F));
  const auto a = torch::autograd::grad({reinforce}, {logits}, {}, true)[0];
  EXPECT_TRUE(torch::allclose(a, torch::autograd::grad({ppo}, {logits})[0], 1e-4, 1e-6));
}

}  // namespace
}  // namespace hidreamer::policy
