#include "hidreamer/agent/online_learner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/config/load.h"

namespace hidreamer::agent {
namespace {

namespace fs = std::filesystem;

// Seconds of learning on catch: plays, starts learning, dreams.
config::Config TinyAgentConfig() {
  config::Config config = config::Preset("test");
  config.steps = 640;
  config.collect.prefill = 256;
  config.collect.steps_per_update = 16;
  config.tokenizer.warmup_updates = 4;
  config.tokenizer.batch = 16;
  config.world_model.batch = 4;
  config.world_model.cpc_scale = 0.1;
  config.policy.batch = 8;
  config.policy.start_after = 4;
  return config;
}

class OnlineLearnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hid_online_" + std::to_string(::getpid()));
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  OnlineLearner Make(const config::Config& config, const std::string& name) {
    return OnlineLearner(config, root_ / name, layers::Precision::kF32);
  }

  fs::path root_;
};

void ExpectSame(const formats::TensorMap& a, const formats::TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    EXPECT_TRUE(tensor.equal(b.at(name))) << name;
  }
}

// The text's hierarchical transformer, learning online: residual codes on a grid.
void UseTokens(config::Config& config, int64_t grid) {
  config.world_model.kind = "token";
  config.world_model.window = 16;
  config.tokenizer.quantizer = "rvq";
  config.tokenizer.codes = 16;
  config.tokenizer.grid = grid;
}

TEST_F(OnlineLearnerTest, GoesOnToTheBit) {
  for (const std::string name : {"in_turn", "overlap", "tokens"}) {
    auto config = TinyAgentConfig();
    config.overlap = name != "in_turn";
    if (name == "tokens") {
      UseTokens(config, 2);
    }
    OnlineLearner whole = Make(config, name + "_whole");
    const int64_t half = whole.total_updates() - 8;
    for (int64_t update = 0; update < whole.total_updates(); ++update) {
      whole.Update(update);
    }
    formats::TensorMap checkpoint;
    {
      OnlineLearner first = Make(config, name);
      for (int64_t update = 0; update < half; ++update) {
        first.Update(update);
      }
      for (auto& [key, tensor] : first.State()) {
        checkpoint[key] = tensor.clone();
      }
      first.Update(half);  // what a killed run did after its checkpoint
    }
    OnlineLearner second = Make(config, name);
    second.LoadState(checkpoint);
    for (int64_t update = half; update < second.total_updates(); ++update) {
      second.Update(update);
    }
    ExpectSame(whole.State(), second.State());
  }
}

// Every ablation switch has an effect on what is built or learned, and learns finite numbers.
TEST_F(OnlineLearnerTest, AblationsRun) {
  const auto last_log = [&](const config::Config& config, const std::string& name) {
    OnlineLearner learner = Make(config, name);
    nlohmann::json log;
    for (int64_t update = 0; update < learner.total_updates(); ++update) {
      log = learner.Update(update).Read();
    }
    for (const auto& [key, value] : log.items()) {
      EXPECT_TRUE(std::isfinite(value.get<double>())) << name << ' ' << key;
    }
    return log;
  };
  const auto plain = last_log(TinyAgentConfig(), "plain");
  const std::map<std::string, std::function<void(config::Config&)>> switches = {
      {"rvq", [](auto& c) { c.tokenizer.quantizer = "rvq", c.tokenizer.codes = 16; }},
      {"one_place", [](auto& c) { c.tokenizer.grid = 1; }},
      {"no_places", [](auto& c) { c.tokenizer.body = "near"; }},
      {"plain_error", [](auto& c) { c.tokenizer.change_weight = 0; }},
      {"no_rarity", [](auto& c) { c.tokenizer.rarity = false; }},
      {"no_stillness", [](auto& c) { c.tokenizer.stillness = 0; }},
      {"frozen", [](auto& c) { c.tokenizer.freeze_after = 2; }},
      {"one_batch", [](auto& c) { c.world_model.minibatches = 1; }},
      {"no_muon", [](auto& c) { c.world_model.matrix_lr = 0; }},
      {"no_average", [](auto& c) { c.world_model.average = 0; }},
      {"falling_entropy", [](auto& c) { c.policy.final_entropy = 1e-4; }},
      {"no_local_path", [](auto& c) { c.world_model.local_path = false; }},
      {"tokens_of_one_place", [](auto& c) { UseTokens(c, 1); }},
      {"tokens_of_a_grid", [](auto& c) { UseTokens(c, 2); }},
      {"strict_mask", [](auto& c) { UseTokens(c, 2), c.world_model.mask = "strict"; }},
      {"finite_scalar_tokens", [](auto& c) { UseTokens(c, 2), c.tokenizer.quantizer = "fsq"; }},
      {"two_frames", [](auto& c) { c.world_model.local_frames = 2; }},
      {"no_depth_head", [](auto& c) { c.world_model.depth_head = false; }},
      {"calibrated", [](auto& c) { c.world_model.calibrated = true; }},
      {"no_cpc", [](auto& c) { c.world_model.cpc_scale = 0; }},
      {"uniform_replay",
       [](auto& c) { c.replay.recent_share = 0, c.replay.near_reward_share = 0; }},
      {"reinforce", [](auto& c) { c.policy.algorithm = "reinforce"; }},
      {"features_codes", [](auto& c) { c.policy.features = "codes"; }},
      {"features_hidden", [](auto& c) { c.policy.features = "hidden"; }},
      {"real", [](auto& c) { c.policy.experience = "real"; }},
  };
  for (const auto& [name, set] : switches) {
    auto config = TinyAgentConfig();
    set(config);
    const auto log = last_log(config, name);
    EXPECT_NE(log, plain) << name;
  }
}

// Where NaN begins, by the part of the state that holds one.
TEST_F(OnlineLearnerTest, StopsAtNaNWhereverItBegins) {
  auto config = TinyAgentConfig();
  for (const bool overlap : {false, true}) {
    config.overlap = overlap;
    const std::string name = overlap ? "nan_overlap" : "nan";
    formats::TensorMap sound;
    const int64_t updates = 22;  // 16 of them random steps; the policy has begun to learn
    {
      OnlineLearner learner = Make(config, name);
      for (int64_t update = 0; update < updates; ++update) {
        learner.Update(update);
      }
      for (auto& [key, tensor] : learner.State()) {
        sound[key] = tensor.clone();
      }
    }
    for (const std::string part : {"model.tokenizer.encoder.", "model.world_model.", "model.actor.",
                                   "model.critic.", "optimizer.model.learning."}) {
      formats::TensorMap state;
      for (const auto& [key, tensor] : sound) {
        state[key] = tensor.clone();
        if (key.starts_with(part)) {
          state[key].fill_(std::nan(""));
        }
      }
      OnlineLearner learner = Make(config, name);
      learner.LoadState(state);
      EXPECT_THROW(learner.Update(updates), training::NotFinite) << part << ' ' << overlap;
      EXPECT_EQ(learner.BatchOf(updates).at("rewards").size(0), config.world_model.batch);
      EXPECT_TRUE(learner.BatchOf(updates - 1).empty());  // the replay has grown since
    }
  }
}

TEST_F(OnlineLearnerTest, InterruptedInTheHeadStartItGoesOnToTheBit) {
  const auto config = TinyAgentConfig();
  OnlineLearner whole = Make(config, "whole");
  const int64_t start = 15;  // the update whose head start is interrupted
  for (int64_t update = 0; update < start + 3; ++update) {
    whole.Update(update);
  }
  formats::TensorMap state;
  {
    OnlineLearner first = Make(config, "halves");
    for (int64_t update = 0; update < start; ++update) {
      first.Update(update);
    }
    SetInterruptRequested(true);
    EXPECT_THROW(first.Update(start), Interrupted);
    SetInterruptRequested(false);
    for (auto& [key, tensor] : first.State()) {
      state[key] = tensor.clone();
    }
  }
  EXPECT_EQ(state.at("state.head_start").item<int64_t>(), 1);
  OnlineLearner second = Make(config, "halves");
  second.LoadState(state);
  for (int64_t update = start; update < start + 3; ++update) {
    second.Update(update);
  }
  ExpectSame(whole.State(), second.State());
}

TEST_F(OnlineLearnerTest, CountsGamesAndSteps) {
  OnlineLearner learner = Make(TinyAgentConfig(), "games");
  for (int64_t update = 0; update < learner.total_updates(); ++update) {
    learner.Update(update);
  }
  EXPECT_EQ(learner.replay().size(), 640);
  // 8 games of 110 steps side by side: none is over before step 880 of all.
  EXPECT_TRUE(learner.games().empty());
}

}  // namespace
}  // namespace hidreamer::agent
