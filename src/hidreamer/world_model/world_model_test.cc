#include "hidreamer/world_model/world_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/formats/tensor_map.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/relative_error.h"
#include "hidreamer/training/optimizer.h"
#include "hidreamer/world_model/loss.h"

namespace hidreamer::world_model {
namespace {

WorldModelOptions SmallOptions(int64_t levels = 3) {
  return {.layout = {.levels = levels, .codes = 16, .actions = 4},
          .width = 32,
          .layers = 2,
          .heads = 4,
          .ffn_width = 64,
          .dropout = 0.1,
          .max_steps = 8};
}

std::filesystem::path TemporaryFile(const std::string& name) {
  return std::filesystem::temp_directory_path() /
         ("hidreamer_world_model_" + std::to_string(::getpid()) + "_" + name);
}

TEST(WorldModelTest, HasTheTextsNumberOfParameters) {
  EXPECT_EQ(formats::CountParameters(*WorldModel(WorldModelOptions{})), 11341440);
}

TEST(WorldModelTest, GivesHiddenStatesAndLogitsOfEveryLevel) {
  for (const int64_t levels : {1, 3, 8}) {
    WorldModel model(SmallOptions(levels));
    for (const int64_t steps : {1, 8}) {
      const WorldModelOutput output =
          model->forward(torch::randint(16, {2, steps, levels}, torch::kInt64),
                         torch::randint(4, {2, steps}, torch::kInt64));
      EXPECT_EQ(output.hidden.sizes().vec(), (std::vector<int64_t>{2, steps * (levels + 1), 32}));
      ASSERT_EQ(static_cast<int64_t>(output.logits.size()), levels);
      for (const torch::Tensor& logits : output.logits) {
        EXPECT_EQ(logits.sizes().vec(), (std::vector<int64_t>{2, steps, 16}));
      }
    }
  }
}

TEST(WorldModelTest, ReadsTheHeadsAtTheirPositions) {
  WorldModel model(SmallOptions());
  model->eval();
  const WorldModelOutput output = model->forward(torch::randint(16, {1, 4, 3}, torch::kInt64),
                                                 torch::randint(4, {1, 4}, torch::kInt64));
  EXPECT_TRUE(torch::allclose(output.logits[0][0][2], model->Logits(0, output.hidden[0][11])));
  EXPECT_TRUE(torch::allclose(output.logits[1][0][2], model->Logits(1, output.hidden[0][8])));
  EXPECT_TRUE(torch::allclose(output.logits[2][0][2], model->Logits(2, output.hidden[0][9])));
}

// The gradients of all parameters by the loss of these logits.
std::map<std::string, torch::Tensor> GradientsOf(WorldModel& model,
                                                 const std::vector<torch::Tensor>& logits,
                                                 const torch::Tensor& tokens) {
  model->zero_grad();
  ComputeLoss(logits, tokens, std::vector<double>(logits.size(), 1.0)).total.backward();
  std::map<std::string, torch::Tensor> gradients;
  for (const auto& parameter : model->named_parameters()) {
    gradients[parameter.key()] = parameter.value().grad().clone();
  }
  return gradients;
}

TEST(WorldModelTest, PredictsTheSameWithoutThePositionsThatPredictNothing) {
  for (const int64_t levels : {1, 2, 3}) {
    WorldModelOptions options = SmallOptions(levels);
    options.dropout = 0;
    WorldModel model(options);
    const torch::Tensor tokens = torch::randint(16, {2, 8, levels}, torch::kInt64);
    const torch::Tensor actions = torch::randint(4, {2, 8}, torch::kInt64);
    const auto expected = model->forward(tokens, actions).logits;
    const auto found = model->Predict(tokens, actions);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t level = 0; level < found.size(); ++level) {
      EXPECT_LT(layers::RelativeError(found[level], expected[level]), 1e-5) << levels << level;
    }
    const auto gradients = GradientsOf(model, expected, tokens);
    for (const auto& [name, gradient] : GradientsOf(model, found, tokens)) {
      EXPECT_TRUE(torch::allclose(gradient, gradients.at(name), 1e-4, 1e-6)) << levels << name;
    }
  }
}

TEST(WorldModelTest, RefusesLongerSequencesThanItsPositionTable) {
  WorldModel model(SmallOptions());
  EXPECT_THROW(
      model->forward(torch::zeros({1, 9, 3}, torch::kInt64), torch::zeros({1, 9}, torch::kInt64)),
      Error);
  EXPECT_THROW(
      model->forward(torch::zeros({1, 4, 2}, torch::kInt64), torch::zeros({1, 4}, torch::kInt64)),
      Error);
}

TEST(WorldModelTest, SendsGradientsToEveryParameter) {
  torch::manual_seed(1);
  WorldModel model(SmallOptions());
  const torch::Tensor tokens = torch::randint(16, {16, 8, 3}, torch::kInt64);
  ComputeLoss(model->Predict(tokens, torch::randint(4, {16, 8}, torch::kInt64)), tokens,
              {1.0, 0.5, 0.1})
      .total.backward();
  for (const auto& parameter : model->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().sum().item<float>(), 0.0f) << parameter.key();
  }
}

TEST(WorldModelTest, OverfitsOneBatchOfRandomTokens) {
  torch::manual_seed(2);
  WorldModelOptions options = SmallOptions();
  options.dropout = 0;
  WorldModel model(options);
  const torch::Tensor tokens = torch::randint(16, {2, 6, 3}, torch::kInt64);
  const torch::Tensor actions = torch::randint(4, {2, 6}, torch::kInt64);
  training::Adam optimizer(training::NamedParameters(*model), {});
  HierarchicalLoss loss;
  for (int step = 0; step < 120; ++step) {
    optimizer.ZeroGrad();
    loss = ComputeLoss(model->forward(tokens, actions).logits, tokens, {1.0, 1.0, 1.0});
    loss.total.backward();
    optimizer.Step(3e-3);
  }
  // L1 and L2 of the first step have nothing but L0 (and L1) of that step to be known from, which
  // is enough here; every target can be learned by heart.
  EXPECT_LT(loss.total.item<float>(), 0.1f);
  for (size_t level = 0; level < 3; ++level) {
    EXPECT_EQ(loss.correct[level].item<int64_t>(), loss.targets[level].item<int64_t>()) << level;
  }
}

TEST(WorldModelTest, AppliesDropoutOnlyInTrainingAndRepeatsItFromASeed) {
  WorldModel model(SmallOptions());
  const torch::Tensor tokens = torch::randint(16, {2, 8, 3}, torch::kInt64);
  const torch::Tensor actions = torch::randint(4, {2, 8}, torch::kInt64);
  const auto run = [&](uint64_t seed) {
    torch::manual_seed(seed);
    return model->Hidden(tokens, actions);
  };
  EXPECT_TRUE(torch::equal(run(5), run(5)));
  EXPECT_FALSE(torch::equal(run(5), run(6)));
  model->eval();
  EXPECT_TRUE(torch::equal(run(5), run(6)));
}

TEST(WorldModelTest, LoadsWhatItSaved) {
  const std::filesystem::path path = TemporaryFile("saved.safetensors");
  WorldModelOptions options = SmallOptions();
  options.mask = MaskKind::kStrict;
  WorldModel model(options);
  model->eval();
  SaveWorldModel(path, model);
  WorldModel loaded = LoadWorldModel(path);
  EXPECT_TRUE(loaded->options() == options);
  EXPECT_FALSE(loaded->is_training());
  const torch::Tensor tokens = torch::randint(16, {2, 8, 3}, torch::kInt64);
  const torch::Tensor actions = torch::randint(4, {2, 8}, torch::kInt64);
  EXPECT_TRUE(torch::equal(loaded->Hidden(tokens, actions), model->Hidden(tokens, actions)));
  std::filesystem::remove(path);
}

TEST(WorldModelTest, RefusesAForeignFile) {
  const std::filesystem::path path = TemporaryFile("foreign.safetensors");
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}});
  EXPECT_THROW(LoadWorldModel(path), Error);
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}}, {{"options", "{\"levels\": 3}"}});
  EXPECT_THROW(LoadWorldModel(path), Error);
  formats::SaveSafetensors(path, {{"x", torch::zeros({2})}}, WorldModelMetadata(SmallOptions()));
  EXPECT_THROW(LoadWorldModel(path), Error);
  std::filesystem::remove(path);
}

// A model whose widths suit the kernels of evaluation, and a window with its last step open.
struct Evaluated {
  Evaluated()
      : model(WorldModelOptions{.layout = {.levels = 3, .codes = 12, .actions = 4},
                                .width = 64,
                                .layers = 2,
                                .heads = 2,
                                .ffn_width = 96,
                                .max_steps = 8}) {
    model->eval();
  }
  torch::NoGradGuard no_grad;
  WorldModel model;
  torch::Tensor tokens = torch::randint(12, {2, 7, 3}, torch::kLong);
  torch::Tensor actions = torch::randint(4, {2, 6}, torch::kLong);
};

TEST(WorldModel, EvaluatesInBf16WithTheWeightsOfNow) {
  torch::manual_seed(1);
  Evaluated given;
  for (int change = 0; change < 3; ++change) {
    const torch::Tensor full = given.model->Hidden(given.tokens, given.actions);
    const layers::AutocastGuard autocast(layers::Precision::kBf16);
    std::vector<torch::Tensor> qkv;
    const torch::Tensor narrow = given.model->Hidden(given.tokens, given.actions, &qkv);
    EXPECT_LT(layers::RelativeError(narrow, full), 0.01) << change;
    EXPECT_EQ(qkv.size(), 2U);
    for (torch::Tensor& parameter : given.model->parameters()) {
      parameter.mul_(1.1);
    }
  }
}

TEST(WorldModel, LeavesOutEarlierPositionsAndNothingElse) {
  torch::manual_seed(1);
  Evaluated given;
  for (const layers::Precision precision : {layers::Precision::kF32, layers::Precision::kBf16}) {
    const layers::AutocastGuard autocast(precision);
    std::vector<torch::Tensor> all_qkv;
    const torch::Tensor all = given.model->Hidden(given.tokens, given.actions, &all_qkv);
    for (const int64_t from : {1, 13, 26}) {
      const int64_t count = all.size(1) - from;
      std::vector<torch::Tensor> qkv;
      EXPECT_TRUE(torch::equal(given.model->Hidden(given.tokens, given.actions, &qkv, from),
                               all.narrow(1, from, count)));
      for (size_t layer = 0; layer < qkv.size(); ++layer) {
        EXPECT_TRUE(torch::equal(qkv[layer].narrow(2, 64, 128), all_qkv[layer].narrow(2, 64, 128)));
      }
    }
  }
}

}  // namespace
}  // namespace hidreamer::world_model
