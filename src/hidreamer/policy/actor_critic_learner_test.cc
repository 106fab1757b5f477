#include "hidreamer/policy/actor_critic_learner.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::policy {
namespace {

constexpr int64_t kFeatures = 3;

class TinyActorCritic : public ActorCritic {
 public:
  explicit TinyActorCritic(bool extracts) : ActorCritic("two_hot") {
    torch::manual_seed(1);
    Build({.features = kFeatures,
           .hidden_width = 16,
           .actions = 2,
           .unimix = 0,
           .extractor = extracts,
           .cpc_width = extracts ? 8 : 0,
           .cpc_steps = 1});
  }
};

ActorCriticLearnerOptions ByHand() {
  return {.algorithm = "ppo",
          .passes = 1,
          .gamma = 0.5,
          .lambda = 0.5,
          .entropy = 0.01,
          .final_entropy = 0.0001,
          .lr = 1e-3};
}

// One dream of two steps, of which the first pays 1. An actor that has learned nothing is uniform.
Dreams OneDream() {
  torch::manual_seed(2);
  return {.states = torch::randn({1, 3, kFeatures}),
          .actions = torch::tensor({{0, 1}}, torch::kLong),
          .log_probs = torch::full({1, 2}, -std::log(2.0F)),
          .rewards = torch::tensor({{1.0F, 0.0F}}),
          .continues = torch::tensor({{1.0F, 0.5F}})};
}

nlohmann::json UpdateOnce(const ActorCriticLearnerOptions& options, double progress) {
  auto networks = std::make_shared<TinyActorCritic>(false);
  ActorCriticLearner learner(networks, options, layers::Precision::kF32, torch::kCPU);
  learner.ComputeTargets(OneDream(), progress);
  learner.LearnActor();
  learner.LearnCritic();
  return learner.Finish().Read();
}

// Critics say 0 at first, so returns are 1 and 0, weights 1 and 1/2; the spread of the returns is
// below 1, so that advantages are 1 and 0, too.
TEST(ActorCriticLearner, HasTheLossesWorkedOutByHand) {
  const double bonus = 0.01 * std::log(2.0), per_bin = std::log(255.0);
  const auto ppo = UpdateOnce(ByHand(), 0);
  EXPECT_NEAR(ppo["return"].get<double>(), 0.5, 1e-6);
  EXPECT_NEAR(ppo["return_scale"].get<double>(), 1, 1e-6);
  EXPECT_NEAR(ppo["entropy"].get<double>(), std::log(2.0), 1e-6);
  EXPECT_NEAR(ppo["actor_loss"].get<double>(), -(1 + bonus + 0.5 * bonus) / 2, 1e-5);
  EXPECT_NEAR(ppo["critic_loss"].get<double>(), (1 + 0.5) / 2 * per_bin, 1e-4);

  auto options = ByHand();
  options.algorithm = "reinforce";
  EXPECT_NEAR(UpdateOnce(options, 0)["actor_loss"].get<double>(),
              -(-std::log(2.0) + bonus + 0.5 * bonus) / 2, 1e-5);
}

TEST(ActorCriticLearner, CentersAdvantagesByTheirWeightedMean) {
  auto options = ByHand();
  options.center_advantages = true;  // 1/3 and -2/3: their weighted sum is 0
  const double bonus = 0.01 * std::log(2.0);
  EXPECT_NEAR(UpdateOnce(options, 0)["actor_loss"].get<double>(), -1.5 * bonus / 2, 1e-5);
}

TEST(ActorCriticLearner, EntropyBonusFallsByAConstantRatio) {
  auto options = ByHand();
  options.center_advantages = true;
  const double half_way = 0.001 * std::log(2.0);
  EXPECT_NEAR(UpdateOnce(options, 0.5)["actor_loss"].get<double>(), -1.5 * half_way / 2, 1e-6);
}

TEST(ActorCriticLearner, DividesAdvantagesByTheSpreadOfReturns) {
  auto dreams = OneDream();
  dreams.rewards = torch::tensor({{101.0F, 0.0F}});
  auto networks = std::make_shared<TinyActorCritic>(false);
  for (const bool normalize : {true, false}) {
    auto options = ByHand();
    options.entropy = 0;
    options.normalize_returns = normalize;
    ActorCriticLearner learner(networks, options, layers::Precision::kF32, torch::kCPU);
    learner.ComputeTargets(dreams, 0);
    learner.LearnActor();
    const double scale = 0.9 * 101;  // between the 5 % and 95 % quantiles of 101 and 0
    EXPECT_NEAR(learner.Finish().Read()["actor_loss"].get<double>(),
                -101 / (normalize ? scale : 1) / 2, normalize ? 0.05 : 5);
  }
}

// In state s the action that pays is the sign of s.
class LearnsWhatPays : public testing::TestWithParam<std::string> {};

TEST_P(LearnsWhatPays, WithAndWithoutAnExtractor) {
  for (const bool extractor : {false, true}) {
    auto networks = std::make_shared<TinyActorCritic>(extractor);
    auto options = ByHand();
    options.algorithm = GetParam();
    options.passes = 3;
    options.final_entropy = 0.01;
    options.lr = 5e-3;
    options.cpc_scale = extractor ? 0.1 : 0;
    ActorCriticLearner learner(networks, options, layers::Precision::kF32, torch::kCPU);
    nlohmann::json figures;
    for (int update = 0; update < 200; ++update) {
      torch::NoGradGuard no_grad;
      torch::manual_seed(update);
      Dreams dreams;
      dreams.states = torch::randn({32, 5, kFeatures});
      const auto seen = dreams.states.narrow(1, 0, 4);
      const auto policy = networks->Policy(seen);
      dreams.actions =
          torch::rand({32, 4}).lt(policy.probabilities().select(2, 1)).to(torch::kLong);
      dreams.log_probs = policy.LogProb(dreams.actions);
      dreams.rewards =
          dreams.actions.eq(seen.select(2, 0).gt(0).to(torch::kLong)).to(torch::kFloat32);
      dreams.continues = torch::ones({32, 4});
      torch::AutoGradMode with_grad(true);
      learner.ComputeTargets(dreams, update / 200.0);
      learner.LearnActor();
      learner.LearnCritic();
      figures = learner.Finish().Read();
    }
    EXPECT_GT(figures["dream_reward"].get<double>(), 3.2) << extractor;  // of 4; by chance 2
    EXPECT_EQ(figures.contains("cpc_loss"), extractor);
    EXPECT_GT(networks->SlowValues(torch::zeros({1, kFeatures})).item<double>(), 0.1);
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, LearnsWhatPays, testing::Values("reinforce", "ppo"));

TEST(ActorCriticLearner, GoesOnToTheBit) {
  const auto make = [](std::shared_ptr<TinyActorCritic>& networks) {
    networks = std::make_shared<TinyActorCritic>(true);
    auto options = ByHand();
    options.cpc_scale = 0.1;
    return std::make_unique<ActorCriticLearner>(networks, options, layers::Precision::kF32,
                                                torch::kCPU);
  };
  const auto update = [](ActorCriticLearner& learner) {
    learner.ComputeTargets(OneDream(), 0);
    learner.LearnActor();
    learner.LearnCritic();
    learner.Finish();
  };
  std::shared_ptr<TinyActorCritic> whole, second;
  const auto learner = make(whole);
  update(*learner);
  formats::TensorMap networks, state;
  for (const auto& [name, tensor] : formats::NamedState(*whole)) {
    networks[name] = tensor.clone();
  }
  for (const auto& [name, tensor] : learner->State()) {
    state[name] = tensor.clone();
  }
  update(*learner);
  const auto resumed = make(second);
  formats::LoadNamedState(*second, networks);
  resumed->LoadState(state);
  update(*resumed);
  const auto expected = formats::NamedState(*whole);
  for (const auto& [name, tensor] : formats::NamedState(*second)) {
    EXPECT_TRUE(tensor.equal(expected.at(name))) << name;
  }
}

}  // namespace
}  // namespace hidreamer::policy
