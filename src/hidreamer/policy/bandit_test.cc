#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "hidreamer/layers/categorical.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/policy/losses.h"
#include "hidreamer/policy/networks.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::policy {
namespace {

// Three arms pay 1 with probability 0.2, 0.8 and 0.5.
double ShareOfTheBestArm(bool ppo) {
  torch::manual_seed(5);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(6);
  MlpHead actor(4, 16, 3);
  training::Adam optimizer(training::NamedParameters(*actor), {});
  const auto pay = torch::tensor({0.2F, 0.8F, 0.5F});
  const auto state = torch::ones({64, 1, 4});
  for (int step = 0; step < 100; ++step) {
    const auto old = ActionDistribution(actor->forward(state).detach(), 0.01);
    const auto draw = [&] { return torch::rand({64, 1}, generator, torch::kFloat32); };
    const auto actions = layers::CategoryAt(old.probabilities(), draw());
    const auto uniforms = draw();
    const auto rewards =
        (uniforms < pay.index_select(0, actions.flatten()).view({64, 1})).to(torch::kFloat32);
    const PolicyTargets targets{actions, rewards - rewards.mean(), torch::ones({64, 1})};
    for (int pass = 0; pass < (ppo ? 3 : 1); ++pass) {
      const ActionDistribution policy(actor->forward(state), 0.01);
      const auto loss =
          ppo ? PpoLoss(policy, targets, old.LogProb(actions), 0.2, torch::tensor(1e-3F))
              : ReinforceLoss(policy, targets, torch::tensor(1e-3F));
      optimizer.ZeroGrad();
      loss.backward();
      optimizer.Step(3e-3);
    }
  }
  return ActionDistribution(actor->forward(state), 0.01).probabilities()[0][0][1].item<double>();
}

TEST(Bandit, ReinforceFindsTheBestArm) { EXPECT_GT(ShareOfTheBestArm(false), 0.8); }

TEST(Bandit, PpoFindsTheBestArm) { EXPECT_GT(ShareOfTheBestArm(true), 0.8); }

}  // namespace
}  // namespace hidreamer::policy
