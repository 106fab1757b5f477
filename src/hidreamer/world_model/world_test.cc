// What every world promises to those who dream in it, act with it and train it.
#include "hidreamer/world_model/world.h"

#include <gtest/gtest.h>

#include <set>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kWorldWindows = 3, kWorldSteps = 6;

struct WorldCase {
  std::string name;
  WorldOptions options;
};

WorldOptions SmallWorld(const std::string& kind, int64_t grid, std::vector<int64_t> level_codes) {
  WorldOptions options;
  options.kind = kind;
  options.layout = {.levels = static_cast<int64_t>(level_codes.size()),
                    .codes = 7,
                    .actions = 4,
                    .places = grid * grid,
                    .level_codes = level_codes};
  options.value_channels = 2;
  options.channels = 8;
  options.width = 16;
  options.heads = 2;
  options.max_steps = 12;
  options.reward_bins = 5;
  return options;
}

std::vector<WorldCase> WorldCases() {
  std::vector<WorldCase> cases = {{"Step", SmallWorld("step", 4, {5, 3})},
                                  {"OneStep", SmallWorld("step", 1, {5})},
                                  {"TokenGrid", SmallWorld("token", 2, {5, 3})},
                                  {"TokenOneLevel", SmallWorld("token", 2, {5})}};
  for (const std::string mask : {"reference", "strict", "causal"}) {
    for (const int64_t grid : {1, 2}) {
      cases.push_back(
          {"Token_" + mask + std::to_string(grid), SmallWorld("token", grid, {5, 3, 4})});
      cases.back().options.mask = mask;
    }
  }
  return cases;
}

class WorldTest : public testing::TestWithParam<WorldCase> {
 protected:
  WorldTest() {
    torch::manual_seed(4);
    world_ = MakeWorld(GetParam().options);
    Wake(*world_);
    world_->eval();
  }

  // Heads that begin at zero would hide what they see.
  static void Wake(World& world) {
    torch::NoGradGuard no_grad;
    for (auto& parameter : world.named_parameters()) {
      if (parameter.key().find("outcome_reward") != std::string::npos) {
        parameter.value().normal_();
      }
    }
  }

  // Any function of the codes will do for a tokenizer.
  torch::Tensor ValuesOf(const torch::Tensor& codes) const {
    const auto grid = static_cast<int64_t>(std::sqrt(static_cast<double>(codes.size(1))));
    const auto x = codes.to(torch::kFloat32);
    return torch::stack({x.sum(2) * 0.2 - 1, torch::sin(x.select(2, 0) * 2)}, 1)
        .view({codes.size(0), 2, grid, grid});
  }

  torch::Tensor RandomCodes(int64_t windows, int64_t steps) const {
    std::vector<torch::Tensor> levels;
    const TokenLayout& layout = GetParam().options.layout;
    for (const int64_t codes : layout.level_codes) {
      levels.push_back(torch::randint(codes, {windows, steps, layout.places}, torch::kLong));
    }
    return torch::stack(levels, 3);
  }

  Steps RandomSteps() {
    torch::manual_seed(3);
    return Of(RandomCodes(kWorldWindows, kWorldSteps),
              torch::randint(4, {kWorldWindows, kWorldSteps}, torch::kLong));
  }

  Steps Of(const torch::Tensor& codes, const torch::Tensor& actions) const {
    const int64_t b = codes.size(0), t = codes.size(1);
    return {.codes = codes,
            .values = ValuesOf(codes.flatten(0, 1)).unflatten(0, {b, t}),
            .previous_actions = actions.roll(1, 1),
            .firsts = torch::zeros({b, t}, torch::kBool),
            .actions = actions,
            .rewards = torch::zeros({b, t}),
            .terminals = torch::zeros({b, t}, torch::kBool)};
  }

  // The same steps with other codes at `step`.
  Steps WithOthersAt(const Steps& steps, int64_t step) {
    torch::Tensor codes = steps.codes.clone();
    codes.select(1, step).copy_((codes.select(1, step) + 1) % 3);
    Steps other = Of(codes, steps.actions);
    other.firsts = steps.firsts;
    return other;
  }

  std::unique_ptr<Rollout> Begin(const Steps& context, int64_t room) {
    return world_->Begin(context, room,
                         [this](const torch::Tensor& codes) { return ValuesOf(codes); });
  }

  torch::Tensor Uniforms() const {
    const TokenLayout& layout = GetParam().options.layout;
    return torch::rand({kWorldWindows, layout.places, layout.levels});
  }

  std::shared_ptr<World> world_;
};

void ExpectNear(const torch::Tensor& a, const torch::Tensor& b, double tolerance = 1e-4) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance);
}

TEST_P(WorldTest, ShowsStatesOfTheWidthsItTells) {
  const States states = world_->Observe(RandomSteps());
  EXPECT_EQ(states.codes.sizes(),
            (torch::IntArrayRef{kWorldWindows, kWorldSteps, world_->codes_width()}));
  EXPECT_EQ(states.hidden.sizes(),
            (torch::IntArrayRef{kWorldWindows, kWorldSteps, world_->hidden_width()}));
}

TEST_P(WorldTest, SeesThePastAlone) {
  const Steps steps = RandomSteps();
  const auto before = world_->Observe(steps).hidden;
  const auto after = world_->Observe(WithOthersAt(steps, 4)).hidden;
  EXPECT_TRUE(torch::allclose(before.narrow(1, 0, 4), after.narrow(1, 0, 4)));
  EXPECT_FALSE(torch::allclose(before.select(1, 4), after.select(1, 4)));
  EXPECT_FALSE(torch::allclose(before.select(1, 5), after.select(1, 5)));
}

TEST_P(WorldTest, SeesNothingBeforeTheEpisode) {
  Steps steps = RandomSteps();
  steps.firsts.select(1, 3).fill_(true);
  const States before = world_->Observe(steps);
  Steps other = WithOthersAt(WithOthersAt(steps, 1), 2);
  other.previous_actions.narrow(1, 0, 4).fill_(1);
  const States after = world_->Observe(other);
  EXPECT_TRUE(torch::allclose(before.hidden.narrow(1, 3, 3), after.hidden.narrow(1, 3, 3)));
  EXPECT_TRUE(torch::allclose(before.codes.narrow(1, 3, 3), after.codes.narrow(1, 3, 3)));
}

// Dreamed step by step, a state is what the world sees in the dream as a whole.
TEST_P(WorldTest, DreamsStatesAsItObservesThem) {
  torch::NoGradGuard no_grad;
  Steps steps = RandomSteps().Between(0, 3);
  steps.firsts = steps.firsts.clone();
  steps.firsts[1][1] = true;  // one of the dreams has a shorter past
  const auto rollout = Begin(steps, 3);
  for (int64_t step = 0;; ++step) {
    const States whole = world_->Observe(steps);
    ExpectNear(rollout->states().hidden, whole.hidden.select(1, steps.length() - 1));
    ExpectNear(rollout->states().codes, whole.codes.select(1, steps.length() - 1));
    if (step == 3) {
      break;
    }
    const auto actions = torch::randint(4, {kWorldWindows}, torch::kLong);
    rollout->Imagine(actions, 1, Uniforms());
    Steps next = Of(rollout->codes().unsqueeze(1), actions.unsqueeze(1));
    next.previous_actions = actions.unsqueeze(1);
    steps = steps.FollowedBy(next);
  }
  EXPECT_THROW(rollout->Imagine(torch::zeros({kWorldWindows}, torch::kLong), 0, {}), Error);
}

// A real step is seen in a rollout as in the whole window, and so is what is dreamed after it; a
// rollout that begins again has forgotten all.
TEST_P(WorldTest, FollowsRealStepsAsItObservesThem) {
  torch::NoGradGuard no_grad;
  const Steps steps = RandomSteps();
  const States whole = world_->Observe(steps);
  const auto rollout = Begin(WithOthersAt(steps, 1).Between(0, 3), 3);
  rollout->Imagine(steps.actions.select(1, 2), 1, Uniforms());
  rollout->Restart(steps.Between(0, 3));
  for (int64_t step = 3; step < kWorldSteps; ++step) {
    rollout->Follow(steps.actions.select(1, step - 1), steps.codes.select(1, step),
                    steps.values.select(1, step));
    ExpectNear(rollout->states().hidden, whole.hidden.select(1, step));
    ExpectNear(rollout->states().codes, whole.codes.select(1, step));
    EXPECT_TRUE(rollout->codes().equal(steps.codes.select(1, step)));
  }
}

TEST_P(WorldTest, RunsOpenLoopUnderTheActionsGiven) {
  torch::NoGradGuard no_grad;
  const Steps context = RandomSteps().Between(0, 3);
  const auto values = [this](const torch::Tensor& codes) { return ValuesOf(codes); };
  const auto run = [&](int64_t action, double temperature, const torch::Tensor& uniforms) {
    return RunOpenLoop(*world_, context, torch::full({kWorldWindows, 4}, action, torch::kLong),
                       values, temperature, uniforms);
  };
  const OpenLoop likeliest = run(1, 0, {});
  const auto rollout = Begin(context, 4);
  for (int64_t h = 0; h < 4; ++h) {
    rollout->Imagine(torch::full({kWorldWindows}, 1, torch::kLong), 0, {});
    EXPECT_TRUE(likeliest.codes.select(1, h).equal(rollout->codes()));
    EXPECT_TRUE(likeliest.hidden.select(1, h).equal(rollout->states().hidden));
  }
  EXPECT_FALSE(run(2, 0, {}).hidden.equal(likeliest.hidden));
  const auto uniforms = torch::stack({Uniforms(), Uniforms(), Uniforms(), Uniforms()});
  EXPECT_TRUE(run(1, 1, uniforms).codes.equal(run(1, 1, uniforms).codes));
  EXPECT_FALSE(run(1, 1, uniforms).codes.equal(run(1, 1, uniforms.flip(0)).codes));
}

// At temperature 0 each code is the likeliest by what is predicted of the dream as a whole.
TEST_P(WorldTest, DreamsWhatItPredicts) {
  torch::NoGradGuard no_grad;
  Steps steps = RandomSteps().Between(0, 4);
  const auto rollout = Begin(steps, 1);
  const auto actions = steps.actions.select(1, 3);
  const Outcomes outcomes = rollout->Imagine(actions, 0, {});
  Steps next = Of(rollout->codes().unsqueeze(1), torch::zeros({kWorldWindows, 1}, torch::kLong));
  next.previous_actions = actions.unsqueeze(1);
  const Prediction prediction = world_->Predict(steps.FollowedBy(next), 4);
  ExpectNear(outcomes.rewards, prediction.outcomes.rewards.select(1, 3));
  ExpectNear(outcomes.continues, prediction.outcomes.continues.select(1, 3));
  for (size_t level = 0; level < prediction.codes.size(); ++level) {
    EXPECT_EQ(prediction.codes[level].size(3), GetParam().options.layout.level_codes[level]);
    EXPECT_TRUE(prediction.codes[level].select(1, 0).argmax(-1).equal(
        rollout->codes().select(2, static_cast<int64_t>(level))))
        << level;
  }
}

TEST_P(WorldTest, DrawsCodesByTheirProbability) {
  torch::NoGradGuard no_grad;
  constexpr int64_t kDraws = 3000;
  const Steps one = RandomSteps().Some(0, 1).Between(0, 3);
  Steps many = Of(one.codes.expand({kDraws, -1, -1, -1}), one.actions.expand({kDraws, -1}));
  many.previous_actions = one.previous_actions.expand({kDraws, -1});
  torch::manual_seed(5);
  const auto rollout = Begin(many, 1);
  const TokenLayout& layout = GetParam().options.layout;
  rollout->Imagine(many.actions.select(1, 2), 1,
                   torch::rand({kDraws, layout.places, layout.levels}));
  Steps next = Of(rollout->codes().narrow(0, 0, 1).unsqueeze(1), one.actions.narrow(1, 0, 1));
  next.previous_actions = one.actions.narrow(1, 2, 1);
  // Place 0's first level depends on no other code of its step.
  const auto probabilities =
      torch::softmax(world_->Predict(one.FollowedBy(next), 3).codes[0][0][0][0], -1);  // (V)
  const auto drawn = rollout->codes().select(2, 0).select(1, 0);
  for (int64_t code = 0; code < probabilities.size(0); ++code) {
    EXPECT_NEAR(drawn.eq(code).to(torch::kFloat32).mean().item<double>(),
                probabilities[code].item<double>(), 0.03);
  }
}

TEST_P(WorldTest, PredictsThroughWhatCameBeforeAlone) {
  torch::NoGradGuard no_grad;
  const Steps steps = RandomSteps();
  const Prediction before = world_->Predict(steps, 1);
  const Prediction after = world_->Predict(WithOthersAt(steps, 4), 1);
  // Level 0 of place 0 at step 4 is predicted before anything of step 4 is seen.
  ExpectNear(before.codes[0].narrow(1, 0, 3), after.codes[0].narrow(1, 0, 3), 1e-5);
  ExpectNear(before.codes[0].select(1, 3).select(1, 0), after.codes[0].select(1, 3).select(1, 0),
             1e-5);
  ExpectNear(before.outcomes.rewards.narrow(1, 0, 4), after.outcomes.rewards.narrow(1, 0, 4), 1e-5);
  EXPECT_FALSE(before.outcomes.rewards.select(1, 4).allclose(after.outcomes.rewards.select(1, 4)));
  // Nothing is left out of a window within an episode.
  EXPECT_TRUE(!before.known.defined() || before.known.all().item<bool>());
}

TEST_P(WorldTest, ActionsMatter) {
  torch::NoGradGuard no_grad;
  const Steps steps = RandomSteps();
  Steps other = steps;
  other.actions = steps.actions.clone();
  other.actions.select(1, 2).copy_((other.actions.select(1, 2) + 1) % 4);
  other.previous_actions = other.actions.roll(1, 1);
  const Prediction one = world_->Predict(steps, 1), two = world_->Predict(other, 1);
  EXPECT_FALSE(one.codes[0].select(1, 2).allclose(two.codes[0].select(1, 2)));
  EXPECT_FALSE(one.outcomes.continues.select(1, 2).allclose(two.outcomes.continues.select(1, 2)));
}

TEST_P(WorldTest, SendsGradientsToEveryParameter) {
  world_->train();
  const Steps steps = RandomSteps();
  const Prediction prediction = world_->Predict(steps, 1);
  auto loss =
      prediction.outcomes.rewards.square().mean() + prediction.outcomes.continues.square().mean();
  for (size_t level = 0; level < prediction.codes.size(); ++level) {
    const auto targets =
        steps.codes.narrow(1, 1, kWorldSteps - 1).select(3, static_cast<int64_t>(level)).flatten();
    loss =
        loss + torch::nn::functional::cross_entropy(prediction.codes[level].flatten(0, 2), targets);
  }
  loss.backward();
  for (const auto& parameter : world_->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().sum().item<float>(), 0.0f) << parameter.key();
  }
}

// In bf16 without gradients the transformer's blocks run in kernels of their own.
TEST_P(WorldTest, DreamsInBf16AsItObserves) {
  if (!layers::HasCpuKernels()) {
    GTEST_SKIP() << "no bf16 instructions";
  }
  WorldOptions options = GetParam().options;
  options.width = 64;
  torch::manual_seed(4);
  world_ = MakeWorld(options);
  world_->eval();
  Steps steps = RandomSteps();
  steps.firsts[1][1] = true;
  const States exact = world_->Observe(steps);
  const layers::AutocastGuard autocast(layers::Precision::kBf16);
  torch::NoGradGuard no_grad;
  const States packed = world_->Observe(steps);
  EXPECT_LT((packed.hidden - exact.hidden).abs().mean().item<float>(), 0.02);
  const auto rollout = Begin(steps.Between(0, 3), 2);
  EXPECT_LT((rollout->states().hidden - exact.hidden.select(1, 2)).abs().mean().item<float>(),
            0.02);
  rollout->Imagine(steps.actions.select(1, 2), 1, Uniforms());
  EXPECT_TRUE(rollout->states().hidden.isfinite().all().item<bool>());
  // A changed weight is seen.
  for (auto& parameter : world_->named_parameters()) {
    if (parameter.key().find("ffn.0.bias") != std::string::npos) {
      parameter.value().add_(0.5);
    }
  }
  EXPECT_GT((world_->Observe(steps).hidden - packed.hidden).abs().max().item<float>(), 0.06);
}

TEST_P(WorldTest, OptionsSurviveJson) {
  const nlohmann::json json = GetParam().options;
  EXPECT_EQ(nlohmann::json(json.get<WorldOptions>()), json);
  nlohmann::json older = json;
  older.erase("kind");
  older.erase("mask");
  EXPECT_EQ(older.get<WorldOptions>().kind, "step");
}

INSTANTIATE_TEST_SUITE_P(Worlds, WorldTest, testing::ValuesIn(WorldCases()),
                         [](const auto& world) { return world.param.name; });

TEST(MakeWorld, RefusesAnUnknownKind) {
  WorldOptions options;
  options.kind = "tokens";
  EXPECT_THROW(MakeWorld(options), Error);
}

// What differs from the step before weighs more in the loss; draws take that back.
TEST(DrawCodes, DrawsChangesAsOftenAsTheyWereHoweverMuchTheyWeighed) {
  constexpr int64_t kDraws = 20000;
  constexpr double kWeight = 8, kChance = 0.1;  // of code 1; now it is 0
  // Where code 1 weighs 8 in the loss it seems 8 times as likely.
  const auto logits =
      torch::log(torch::tensor({1 - kChance, kWeight * kChance})).expand({kDraws, 2}).contiguous();
  const auto now = torch::zeros({kDraws}, torch::kLong);
  torch::manual_seed(1);
  const auto share = [&](double weight) {
    return DrawCodes(logits, now, weight, 1, torch::rand({kDraws})).to(torch::kFloat32).mean();
  };
  EXPECT_NEAR(share(kWeight).item<double>(), kChance, 0.01);
  EXPECT_NEAR(share(1).item<double>(), kWeight * kChance / (kWeight * kChance + 1 - kChance), 0.01);
}

}  // namespace
}  // namespace hidreamer::world_model
