#include "hidreamer/world_model/step_model.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kStepWindows = 3, kStepCount = 6;

StepModelOptions SmallStepOptions() {
  StepModelOptions options;
  options.layout = {.levels = 2, .actions = 4, .places = 16, .level_codes = {5, 3}};
  options.value_channels = 2;
  options.channels = 8;
  options.width = 16;
  options.heads = 2;
  options.max_steps = 12;
  return options;
}

StepInputs RandomInputs() {
  torch::manual_seed(3);
  return {.values = torch::randn({kStepWindows, kStepCount, 2, 4, 4}),
          .previous_actions = torch::randint(4, {kStepWindows, kStepCount}, torch::kLong),
          .first = torch::zeros({kStepWindows, kStepCount}, torch::kBool)};
}

StepModel Make(const StepModelOptions& options = SmallStepOptions()) {
  torch::manual_seed(4);
  StepModel model(options);
  model->eval();
  return model;
}

TEST(StepModel, SeesThePastAlone) {
  auto model = Make();
  auto inputs = RandomInputs();
  const auto before = model->Observe(inputs);
  inputs.values = inputs.values.clone();
  inputs.values.select(1, 4).fill_(2);
  const auto after = model->Observe(inputs);
  EXPECT_TRUE(torch::allclose(before.hidden.narrow(1, 0, 4), after.hidden.narrow(1, 0, 4)));
  EXPECT_FALSE(torch::allclose(before.hidden.select(1, 4), after.hidden.select(1, 4)));
  EXPECT_FALSE(torch::allclose(before.hidden.select(1, 5), after.hidden.select(1, 5)));
}

TEST(StepModel, SeesNothingBeforeTheEpisode) {
  auto model = Make();
  auto inputs = RandomInputs();
  inputs.first.select(1, 3).fill_(true);
  const auto before = model->Observe(inputs);
  inputs.values = inputs.values.clone();
  inputs.values.narrow(1, 0, 3).fill_(2);
  inputs.previous_actions.narrow(1, 0, 4).fill_(1);
  const auto after = model->Observe(inputs);
  EXPECT_TRUE(torch::allclose(before.hidden.narrow(1, 3, 3), after.hidden.narrow(1, 3, 3)));
  EXPECT_TRUE(torch::allclose(before.local.narrow(1, 3, 3), after.local.narrow(1, 3, 3)));
}

TEST(StepDecoder, AgreesWithTheWholeSequence) {
  torch::NoGradGuard no_grad;
  auto model = Make();
  auto inputs = RandomInputs();
  inputs.first[1][1] = true;  // one of the dreams has a shorter past
  const auto whole = model->Observe(inputs);
  const int64_t read = 3;
  StepDecoder decoder(model,
                      {.values = inputs.values.narrow(1, 0, read),
                       .previous_actions = inputs.previous_actions.narrow(1, 0, read),
                       .first = inputs.first.narrow(1, 0, read)},
                      kStepCount - read);
  for (int64_t t = read - 1; t < kStepCount; ++t) {
    if (t >= read) {
      decoder.Push(inputs.values.select(1, t), inputs.previous_actions.select(1, t));
    }
    EXPECT_TRUE(torch::allclose(decoder.hidden(), whole.hidden.select(1, t), 1e-4, 1e-5)) << t;
    EXPECT_TRUE(torch::allclose(decoder.local(), whole.local.select(1, t), 1e-4, 1e-5)) << t;
  }
}

// In bf16 without gradients the transformer's blocks run in kernels of their own.
TEST(StepDecoder, PackedTransformerAgreesWithTheModules) {
  if (!layers::HasCpuKernels()) {
    GTEST_SKIP() << "no bf16 instructions";
  }
  auto options = SmallStepOptions();
  options.width = 64;
  auto model = Make(options);
  auto inputs = RandomInputs();
  inputs.first[1][1] = true;
  inputs.first[2][4] = true;
  const layers::AutocastGuard autocast(layers::Precision::kBf16);
  const auto modules = model->Observe(inputs);  // with gradients
  ASSERT_TRUE(modules.hidden.requires_grad());
  torch::NoGradGuard no_grad;
  const auto packed = model->Observe(inputs);
  EXPECT_LT((packed.hidden - modules.hidden).abs().max().item<float>(), 0.06);
  EXPECT_LT((packed.hidden - modules.hidden).abs().mean().item<float>(), 0.006);
  // A changed weight is packed again.
  model->named_parameters()["blocks_0.ffn.0.bias"].add_(0.5);
  EXPECT_GT((model->Observe(inputs).hidden - packed.hidden).abs().max().item<float>(), 0.06);
  model->named_parameters()["blocks_0.ffn.0.bias"].sub_(0.5);

  const int64_t read = 3;
  StepDecoder decoder(model,
                      {.values = inputs.values.narrow(1, 0, read),
                       .previous_actions = inputs.previous_actions.narrow(1, 0, read),
                       .first = inputs.first.narrow(1, 0, read)},
                      1);
  EXPECT_LT((decoder.hidden() - modules.hidden.select(1, read - 1)).abs().max().item<float>(),
            0.06);
  decoder.Push(inputs.values.select(1, read), inputs.previous_actions.select(1, read));
  EXPECT_LT((decoder.hidden() - modules.hidden.select(1, read)).abs().max().item<float>(), 0.06);
  EXPECT_THROW(decoder.Push(inputs.values.select(1, 4), inputs.previous_actions.select(1, 4)),
               Error);
}

TEST(StepModel, ActionsMatter) {
  auto model = Make();
  const auto states = model->Observe(RandomInputs());
  const auto last = kStepCount - 1;
  const auto left = model->Foretell(states.hidden.select(1, last), states.local.select(1, last),
                                    torch::zeros({kStepWindows}, torch::kLong));
  const auto right = model->Foretell(states.hidden.select(1, last), states.local.select(1, last),
                                     torch::ones({kStepWindows}, torch::kLong));
  EXPECT_FALSE(torch::allclose(left.places, right.places));
  EXPECT_FALSE(torch::allclose(left.continues, right.continues));
}

TEST(StepModel, FinerLevelsFollowTheCoarserCode) {
  auto options = SmallStepOptions();
  for (const bool depth_head : {true, false}) {
    options.depth_head = depth_head;
    auto model = Make(options);
    const auto places = torch::randn({2, 8, 4, 4});
    auto codes = torch::zeros({2, 16, 2}, torch::kLong);
    const auto before = model->Logits(places, codes);
    codes.select(2, 0).fill_(3);
    const auto after = model->Logits(places, codes);
    EXPECT_TRUE(torch::allclose(before[0], after[0]));
    EXPECT_EQ(torch::allclose(before[1], after[1]), !depth_head);
    EXPECT_EQ(before[0].size(2), 5);
    EXPECT_EQ(before[1].size(2), 3);
  }
}

TEST(StepModel, DrawsCodesByTheirProbability) {
  auto model = Make();
  const auto places = torch::randn({1, 8, 4, 4}).expand({4000, 8, 4, 4}).contiguous();
  const auto now = torch::zeros({4000, 16, 2}, torch::kLong);
  const auto drawn = model->Sample(places, now, 1.0, torch::rand({4000, 16, 2}));
  const auto probabilities =
      torch::softmax(model->Logits(places.narrow(0, 0, 1), drawn.narrow(0, 0, 1))[0], -1);
  const auto share = drawn.select(2, 0).select(1, 5).eq(2).to(torch::kFloat32).mean();
  EXPECT_NEAR(share.item<float>(), probabilities[0][5][2].item<float>(), 0.03);
  const auto likeliest = model->Sample(places.narrow(0, 0, 1), now.narrow(0, 0, 1), 0);
  EXPECT_TRUE(likeliest.select(2, 0).equal(probabilities.argmax(-1)));
}

TEST(StepModel, DrawsChangesAsOftenAsTheyWereHoweverMuchTheyWeighed) {
  constexpr int64_t kRows = 256, kUpdates = 200, kDrawn = 4000;
  constexpr double kWeight = 8, kChance = 0.1;  // of code 1 at any place; now it is 0
  auto options = SmallStepOptions();
  options.changed_weight = kWeight;
  auto model = Make(options);
  const auto features = torch::randn({1, 8, 4, 4}).requires_grad_();
  auto parameters = training::NamedParameters(*model);
  parameters.push_back({"features", features});
  training::Adam adam(parameters, {});
  for (int64_t update = 0; update < kUpdates; ++update) {
    const auto codes = torch::rand({kRows, 16, 1}).lt(kChance).to(torch::kLong).repeat({1, 1, 2});
    const auto logits = model->Logits(features.expand({kRows, 8, 4, 4}).contiguous(), codes);
    const auto weights = 1 + (kWeight - 1) * codes.select(2, 0);
    const auto losses =
        -torch::log_softmax(logits[0], -1).gather(2, codes.narrow(2, 0, 1)).squeeze(2);
    adam.ZeroGrad();
    (weights * losses).mean().backward();
    adam.Step(0.02);
  }
  torch::NoGradGuard no_grad;
  const auto now = torch::zeros({kDrawn, 16, 2}, torch::kLong);
  const auto share = [&](StepModel drawing) {
    return drawing
        ->Sample(features.expand({kDrawn, 8, 4, 4}).contiguous(), now, 1.0,
                 torch::rand({kDrawn, 16, 2}))
        .select(2, 0)
        .eq(1)
        .to(torch::kFloat32)
        .mean()
        .item<double>();
  };
  EXPECT_NEAR(share(model), kChance, 0.02);
  options.changed_weight = 1;
  auto plain = Make(options);
  formats::LoadNamedState(*plain, formats::NamedState(*model));
  EXPECT_NEAR(share(plain), kWeight * kChance / (kWeight * kChance + 1 - kChance), 0.04);
}

TEST(StepModel, PlacesSeeTheirNeighboursOnlyWithTheLocalPath) {
  auto options = SmallStepOptions();
  options.local_path = false;
  auto model = Make(options);
  auto values = torch::randn({1, 2, 2, 4, 4});
  const auto observe = [&] {
    return model
        ->Observe({.values = values,
                   .previous_actions = torch::zeros({1, 2}, torch::kLong),
                   .first = torch::zeros({1, 2}, torch::kBool)})
        .local;
  };
  const auto before = observe().clone();
  values = values.clone();
  values[0][1][0][0][0] = 9;
  const auto changed = observe().ne(before)[0][1].any(0);  // (4, 4)
  EXPECT_EQ(changed.sum().item<int64_t>(), 1);
}

TEST(StepModelOptions, SurviveJson) {
  const auto options = SmallStepOptions();
  const nlohmann::json json = options;
  EXPECT_EQ(nlohmann::json(json.get<StepModelOptions>()), json);
  nlohmann::json older = json;
  older.erase("changed_weight");
  EXPECT_EQ(nlohmann::json(older.get<StepModelOptions>()), json);
}

}  // namespace
}  // namespace hidreamer::world_model
