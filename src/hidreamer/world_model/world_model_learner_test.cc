#include "hidreamer/world_model/world_model_learner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {
namespace {

// Episodes of 40 rows; level 0 counts up by the action, level 1 follows level 0.
tokenizer::TokenizedGame MakeGame(const std::string& name, int64_t episodes, int64_t num_actions) {
  constexpr int64_t kLength = 40;
  torch::manual_seed(9);
  tokenizer::TokenizedGame game;
  game.game = name;
  const int64_t rows = episodes * kLength;
  game.actions = torch::randint(num_actions, {rows}, torch::kInt64);
  const torch::Tensor level0 = (game.actions.cumsum(0) - game.actions).remainder(8);
  game.tokens = torch::stack({level0, (level0 * 3).remainder(8)}, 1);
  game.rewards = torch::zeros({rows});
  game.terminals = torch::zeros({rows}, torch::kUInt8);
  game.truncateds = torch::zeros({rows}, torch::kUInt8);
  for (int64_t e = 0; e < episodes; ++e) {
    game.episodes.push_back({e * kLength, (e + 1) * kLength});
    (e % 2 == 0 ? game.terminals : game.truncateds)[(e + 1) * kLength - 1] = 1;
  }
  game.num_actions = num_actions;
  game.codes = 8;
  return game;
}

config::WorldModelConfig SmallConfig() {
  config::WorldModelConfig config;
  config.width = 32;
  config.layers = 2;
  config.heads = 2;
  config.ffn_width = 64;
  config.max_steps = 12;
  config.window = 10;
  config.batch = 4;
  config.accumulate = 2;
  config.epochs = 2;
  config.updates_per_epoch = 3;
  config.loss_weights = {1.0, 0.5};
  config.lr = 3e-3;
  config.warmup_updates = 2;
  config.validation_windows = 8;
  return config;
}

WorldModelLearner MakeLearner(const config::WorldModelConfig& config = SmallConfig(),
                              const config::SplitConfig& split = {},
                              layers::Precision precision = layers::Precision::kF32,
                              torch::Device device = torch::kCPU) {
  return WorldModelLearner({MakeGame("a", 6, 3), MakeGame("b", 3, 2)}, config, split, precision,
                           SeedTree(1), device);
}

void ExpectEqualStates(const formats::TensorMap& a, const formats::TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, value] : a) {
    EXPECT_TRUE(torch::equal(value, b.at(name))) << name;
  }
}

formats::TensorMap Copy(const formats::TensorMap& state) {
  formats::TensorMap copy;
  for (const auto& [name, value] : state) {
    copy[name] = value.clone();
  }
  return copy;
}

TEST(WorldModelLearnerTest, TakesItsLayoutFromTheGames) {
  WorldModelLearner learner = MakeLearner();
  EXPECT_EQ(learner.model()->options().layout, (TokenLayout{2, 8, 3}));
  EXPECT_EQ(learner.total_updates(), 6);
}

TEST(WorldModelLearnerTest, AnEpochIsEveryTrainingWindowOnce) {
  config::WorldModelConfig config = SmallConfig();
  config.updates_per_epoch = 0;
  WorldModelLearner learner = MakeLearner(config);
  EXPECT_EQ(learner.updates_per_epoch(),
            static_cast<int64_t>(learner.split().train.size()) / (4 * 2));
}

TEST(WorldModelLearnerTest, RepeatsItselfAndResumesToTheBit) {
  WorldModelLearner straight = MakeLearner(), halves = MakeLearner();
  nlohmann::json last;
  for (int64_t update = 0; update < 6; ++update) {
    last = straight.Update(update).Read();
  }
  for (int64_t update = 0; update < 3; ++update) {
    halves.Update(update);
  }
  halves.EndEpoch(0);
  const formats::TensorMap saved = Copy(halves.State());
  WorldModelLearner resumed = MakeLearner();
  resumed.LoadState(saved);
  nlohmann::json resumed_last;
  for (int64_t update = 3; update < 6; ++update) {
    resumed_last = resumed.Update(update).Read();
  }
  ExpectEqualStates(straight.State(), resumed.State());
  EXPECT_EQ(last.dump(), resumed_last.dump());
}

TEST(WorldModelLearnerTest, TakesTheSameUpdatesOnAGpu) {
  if (!torch::cuda::is_available()) {
    GTEST_SKIP() << "no GPU";
  }
  config::WorldModelConfig config = SmallConfig();
  config.dropout = 0;
  config.lr = 3e-4;
  for (const layers::Precision precision : {layers::Precision::kF32, layers::Precision::kBf16}) {
    WorldModelLearner here = MakeLearner(config);
    WorldModelLearner there = MakeLearner(config, {}, precision, torch::kCUDA);
    const double tolerance = precision == layers::Precision::kF32 ? 1e-3 : 0.03;
    for (int64_t update = 0; update < 6; ++update) {
      const nlohmann::json expected = here.Update(update).Read();
      const nlohmann::json found = there.Update(update).Read();
      for (const char* name : {"loss", "loss_l0", "loss_l1", "grad_norm"}) {
        EXPECT_NEAR(found.at(name).get<double>(), expected.at(name).get<double>(), tolerance)
            << name << " " << update;
      }
    }
    const nlohmann::json expected = here.EndEpoch(0), found = there.EndEpoch(0);
    EXPECT_NEAR(found["validation_loss"].get<double>(), expected["validation_loss"].get<double>(),
                tolerance);
  }
}

TEST(WorldModelLearnerTest, LearnsAndReportsValidation) {
  config::WorldModelConfig config = SmallConfig();
  config.updates_per_epoch = 0;
  config.epochs = 8;
  config.batch = 8;
  config.accumulate = 1;
  WorldModelLearner learner = MakeLearner(config);
  const nlohmann::json before = learner.EndEpoch(0);
  nlohmann::json record;
  for (int64_t update = 0; update < learner.total_updates(); ++update) {
    record = learner.Update(update).Read();
  }
  const nlohmann::json after = learner.EndEpoch(0);
  EXPECT_LT(after["validation_loss"].get<double>(), 0.8 * before["validation_loss"].get<double>());
  EXPECT_GT(after["accuracy_l1"].get<double>(), 0.9);  // a function of level 0
  EXPECT_EQ(after["windows"], 8);
  for (const char* key :
       {"loss", "loss_l0", "loss_l1", "accuracy_l0", "accuracy_l1", "lr", "grad_norm"}) {
    EXPECT_TRUE(record[key].is_number()) << key;
  }
}

TEST(SplitWindowsTest, HoldsOutWholeEpisodesAndCrossesNoBorder) {
  const std::vector<tokenizer::TokenizedGame> games = {MakeGame("a", 6, 3), MakeGame("b", 3, 2)};
  for (const std::string by : {"episode", "windows"}) {
    config::SplitConfig config;
    config.by = by;
    config.validation = 0.2;
    const WindowSplit split = SplitWindows(games, 10, config, SeedTree(3));
    std::set<std::pair<int64_t, int64_t>> train_episodes, validation_episodes;
    for (const bool train : {true, false}) {
      for (const data::WindowStart& window : train ? split.train : split.validation) {
        EXPECT_EQ(window.row / 40, (window.row + 9) / 40);
        (train ? train_episodes : validation_episodes).insert({window.source, window.row / 40});
      }
    }
    EXPECT_EQ(split.train.size() + split.validation.size(), 9u * 31u) << by;
    bool shared = false;
    for (const auto& episode : validation_episodes) {
      shared = shared || train_episodes.count(episode) > 0;
    }
    EXPECT_EQ(shared, by == "windows");
  }
}

TEST(WorldModelLearnerTest, StopsBeforeNaNReachesTheWeights) {
  WorldModelLearner learner = MakeLearner();
  formats::TensorMap state = learner.State();
  std::string last;
  for (auto& [name, tensor] : state) {
    tensor = tensor.clone();
    last = name.starts_with("model.") && name.ends_with(".weight") ? name : last;
  }
  state.at(last).fill_(std::nan(""));
  learner.LoadState(state);
  try {
    learner.Update(0);
    ADD_FAILURE();
  } catch (const training::NotFinite& error) {
    EXPECT_EQ(error.number(), "loss");
  }
  for (const auto& [name, tensor] : learner.State()) {
    if (name.starts_with("model.") && name != last) {
      EXPECT_TRUE(tensor.equal(state.at(name))) << name;
    }
  }
  EXPECT_TRUE(learner.BatchOf(0).contains("tokens"));
}

TEST(WorldModelLearnerTest, RefusesWhatDoesNotFit) {
  config::WorldModelConfig config = SmallConfig();
  config.window = 13;  // the model has 12 steps
  EXPECT_THROW(MakeLearner(config), Error);
  config = SmallConfig();
  config.loss_weights = {1.0};
  EXPECT_THROW(MakeLearner(config), Error);
  config = SmallConfig();
  config.window = config.max_steps = 41;  // no episode is that long
  EXPECT_THROW(MakeLearner(config), Error);
  tokenizer::TokenizedGame broken = MakeGame("a", 2, 3);
  broken.tokens[5][0] = 8;
  EXPECT_THROW(WorldModelLearner({broken}, SmallConfig(), {}, layers::Precision::kF32, SeedTree(1)),
               Error);
}

}  // namespace
}  // namespace hidreamer::world_model
