#include "hidreamer/world_model/prediction_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/world_model/recorded_steps.h"

namespace hidreamer::world_model {
namespace {

constexpr int64_t kCodes = 6;

// Level 0 advances by the action (0 or 1), level 1 stays at 3.
tokenizer::TokenizedGame CountingGame(int64_t rows) {
  tokenizer::TokenizedGame game;
  game.game = "counting";
  game.actions = torch::arange(rows).remainder(3).eq(0).to(torch::kInt64);
  const torch::Tensor advanced = game.actions.cumsum(0) - game.actions;
  game.tokens =
      torch::stack({advanced.remainder(kCodes), torch::full({rows}, 3, torch::kInt64)}, 1);
  game.num_actions = 2;
  game.rewards = torch::zeros({rows});
  game.terminals = torch::zeros({rows}, torch::kUInt8);
  game.codes = kCodes;
  game.episodes = {{0, rows}};
  return game;
}

WorldModel SmallModel() {
  torch::manual_seed(1);
  return WorldModel(WorldModelOptions{.layout = {.levels = 2, .codes = kCodes, .actions = 2},
                                      .width = 16,
                                      .layers = 1,
                                      .heads = 2,
                                      .ffn_width = 32,
                                      .max_steps = 8});
}

TEST(EvaluatePredictionTest, CountsTargetsAndCopies) {
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(60)};
  const std::vector<data::WindowStart> windows = {{0, 0}, {0, 12}, {0, 24}};
  const PredictionMetrics metrics = EvaluatePrediction(SmallModel(), games, windows, 7, 2);
  ASSERT_EQ(metrics.levels.size(), 2u);
  EXPECT_EQ(metrics.levels[0].count, 18);
  EXPECT_EQ(metrics.levels[0].changed_count, 6);  // every third action advances
  EXPECT_NEAR(metrics.levels[0].copy_accuracy, 12.0 / 18.0, 1e-12);
  EXPECT_EQ(metrics.levels[1].changed_count, 0);
  EXPECT_EQ(metrics.levels[1].copy_accuracy, 1.0);
  EXPECT_EQ(metrics.ToJson()["levels"][0]["count"], 18);
}

TEST(EvaluatePredictionTest, AgreesWithLogitsLookedUpOneByOne) {
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(60)};
  WorldModel model = SmallModel();
  const PredictionMetrics metrics = EvaluatePrediction(model, games, {{0, 5}, {0, 20}}, 8, 1);
  EXPECT_TRUE(model->is_training());
  model->eval();
  const Steps batch = ReadSteps(games, {{0, 5}, {0, 20}}, 8);
  const WorldModelOutput output = model->forward(batch.codes.squeeze(2), batch.actions);
  for (int64_t level = 0; level < 2; ++level) {
    double nll = 0, hits = 0;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t t = 1; t < 8; ++t) {
        const torch::Tensor logits =
            output.logits[static_cast<size_t>(level)][b][level == 0 ? t - 1 : t];
        const int64_t target = batch.codes[b][t][0][level].item<int64_t>();
        nll -= torch::log_softmax(logits, -1)[target].item<double>();
        hits += logits.argmax().item<int64_t>() == target ? 1.0 : 0.0;
      }
    }
    EXPECT_NEAR(metrics.levels[static_cast<size_t>(level)].nll, nll / 14, 1e-5);
    EXPECT_NEAR(metrics.levels[static_cast<size_t>(level)].accuracy, hits / 14, 1e-12);
  }
}

TEST(EvaluatePredictionTest, MeasuresCalibrationOfAUniformModel) {
  WorldModel model = SmallModel();
  torch::NoGradGuard no_grad;
  for (auto& parameter : model->named_parameters()) {
    if (parameter.key().rfind("headl", 0) == 0) {
      parameter.value().zero_();
    }
  }
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(60)};
  const PredictionMetrics metrics = EvaluatePrediction(model, games, {{0, 0}, {0, 8}}, 8, 2);
  EXPECT_NEAR(metrics.levels[1].nll, std::log(6.0), 1e-5);
  EXPECT_NEAR(metrics.levels[1].ece, std::abs(metrics.levels[1].accuracy - 1.0 / 6.0), 1e-6);
}

TEST(CountingBaselinesTest, LearnARuleOfCodeAndAction) {
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(120), CountingGame(60)};
  std::vector<data::WindowStart> training, held_out;
  for (int64_t start = 0; start + 8 <= 80; start += 4) {
    training.push_back({0, start});
  }
  for (int64_t start = 0; start + 8 <= 60; ++start) {
    training.push_back({1, start});
  }
  for (int64_t start = 80; start + 8 <= 120; ++start) {
    held_out.push_back({0, start});
  }
  WorldModel model = SmallModel();
  const CountingBaselines baselines(games, training, 8, model->options().layout);
  const PredictionMetrics metrics = EvaluatePrediction(model, games, held_out, 8, 4, &baselines);
  EXPECT_EQ(metrics.levels[0].bigram_accuracy, 1.0);
  EXPECT_EQ(metrics.levels[0].bigram_changed_accuracy, 1.0);
  EXPECT_EQ(metrics.levels[0].successor_changed_accuracy, 1.0);
  EXPECT_LT(metrics.levels[0].unigram_accuracy, 0.5);
  EXPECT_EQ(metrics.levels[1].unigram_accuracy, 1.0);
  EXPECT_EQ(metrics.levels[1].bigram_accuracy, 1.0);
}

TEST(CountingBaselinesTest, SuccessorNeverKeepsTheCode) {
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(30)};
  const TokenLayout layout{.levels = 2, .codes = kCodes, .actions = 2};
  const CountingBaselines baselines(games, {{0, 0}}, 30, layout);
  const torch::Tensor previous =
      torch::arange(kCodes).view({1, kCodes, 1}).expand({1, kCodes, 2}).contiguous();
  for (const int64_t action : {0, 1}) {
    const torch::Tensor actions = torch::full({1, kCodes}, action, torch::kInt64);
    const torch::Tensor game = torch::zeros({1}, torch::kInt64);
    EXPECT_FALSE(baselines.Successor(previous, actions, game).eq(previous).any().item<bool>());
  }
}

TEST(ReadSteps, RefusesWindowsOutsideTheGame) {
  const std::vector<tokenizer::TokenizedGame> games = {CountingGame(10)};
  EXPECT_THROW(ReadSteps(games, {{0, 5}}, 8), Error);
}

}  // namespace
}  // namespace hidreamer::world_model
