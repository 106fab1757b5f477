#include "hidreamer/agent/offline_learner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/agent/online_learner.h"
#include "hidreamer/base/error.h"
#include "hidreamer/config/load.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::agent {
namespace {

config::Config OfflineConfig() {
  config::Config config = config::Preset("test");
  config.steps = 400;
  config.collect.prefill = 256;
  config.collect.steps_per_update = 16;
  config.tokenizer.warmup_updates = 2;
  config.tokenizer.batch = 16;
  config.world_model.batch = 4;
  config.policy.batch = 8;
  config.policy.start_after = 2;
  config.evaluation.episodes = 2;
  config.evaluation.times = 2;
  return config;
}

class OfflineLearnerTest : public ::testing::Test {
 protected:
  // A run as hidreamer agent leaves it.
  static void SetUpTestSuite() {
    run_ = std::filesystem::temp_directory_path() / ("hid_offline_" + std::to_string(::getpid()));
    OnlineLearner learner(OfflineConfig(), run_ / "replay", layers::Precision::kF32);
    for (int64_t update = 0; update < learner.total_updates(); ++update) {
      learner.Update(update);
    }
    learner.State();  // saves the replay
    std::filesystem::create_directories(run_ / "agent");
    formats::SaveSafetensors(run_ / "agent/model.safetensors",
                             formats::NamedState(*learner.models()),
                             {{"options", learner.models()->options().ToJson()}});
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(run_); }

  static OfflineLearner Make(Learns learns, bool anew = false,
                             const config::Config& config = OfflineConfig()) {
    return {run_, config, {.learns = learns, .updates = 4, .anew = anew}, layers::Precision::kF32};
  }

  static formats::TensorMap Copy(const formats::TensorMap& state) {
    formats::TensorMap copy;
    for (const auto& [name, tensor] : state) {
      copy[name] = tensor.clone();
    }
    return copy;
  }

  // The parts of the networks that differ from the run's.
  static std::set<std::string> Changed(const OfflineLearner& learner) {
    const auto before = formats::NamedState(*LoadAgentModels(run_));
    std::set<std::string> changed;
    for (const auto& [name, tensor] : formats::NamedState(*learner.models())) {
      if (!tensor.equal(before.at(name))) {
        changed.insert(name.substr(0, name.find('.')));
      }
    }
    return changed;
  }

  static inline std::filesystem::path run_;
};

TEST_F(OfflineLearnerTest, BeginsAsTheRunEnded) {
  EXPECT_TRUE(Changed(Make(Learns::kPolicy)).empty());
  EXPECT_EQ(Changed(Make(Learns::kPolicy, /*anew=*/true)),
            (std::set<std::string>{"actor", "critic", "slow_critic"}));
  EXPECT_EQ(Changed(Make(Learns::kWorldModel, /*anew=*/true)),
            (std::set<std::string>{"world_model", "actor", "critic", "slow_critic"}));
}

TEST_F(OfflineLearnerTest, TrainsThePolicyAlone) {
  OfflineLearner learner = Make(Learns::kPolicy);
  for (int64_t update = 0; update < 2; ++update) {
    EXPECT_TRUE(learner.Update(update).Read().contains("actor_loss"));
  }
  EXPECT_EQ(Changed(learner), (std::set<std::string>{"actor", "critic", "slow_critic"}));
  const auto scores = learner.EndEpoch(0);
  EXPECT_EQ(scores.at("score_games"), 2);
  EXPECT_TRUE(scores.contains("random_score"));
}

TEST_F(OfflineLearnerTest, TrainsTheWorldModelAlone) {
  OfflineLearner learner = Make(Learns::kWorldModel);
  for (int64_t update = 0; update < 2; ++update) {
    EXPECT_TRUE(learner.Update(update).Read().contains("code_loss"));
  }
  EXPECT_EQ(Changed(learner), (std::set<std::string>{"world_model"}));
  EXPECT_TRUE(learner.EndEpoch(0).empty());
}

TEST_F(OfflineLearnerTest, GoesOnToTheBit) {
  for (const Learns learns : {Learns::kPolicy, Learns::kWorldModel}) {
    OfflineLearner whole = Make(learns);
    formats::TensorMap half;
    for (int64_t update = 0; update < 4; ++update) {
      if (update == 2) {
        half = Copy(whole.State());
      }
      whole.Update(update);
    }
    OfflineLearner second = Make(learns);
    second.LoadState(half);
    second.Update(2);
    second.Update(3);
    const auto expected = whole.State();
    for (const auto& [name, tensor] : second.State()) {
      EXPECT_TRUE(tensor.equal(expected.at(name))) << name;
    }
  }
}

TEST_F(OfflineLearnerTest, ANewPartMayHaveAnotherShape) {
  auto config = OfflineConfig();
  config.policy.hidden_width = 32;
  OfflineLearner learner = Make(Learns::kPolicy, /*anew=*/true, config);
  EXPECT_TRUE(learner.Update(0).Read().contains("actor_loss"));
  EXPECT_THROW(Make(Learns::kPolicy, /*anew=*/false, config), Error);
}

TEST_F(OfflineLearnerTest, NeedsAnAgentAndItsReplay) {
  EXPECT_THROW(OfflineLearner(run_ / "nothing", OfflineConfig(), {}, layers::Precision::kF32),
               Error);
  const auto bare = run_ / "bare";
  std::filesystem::create_directories(bare / "agent");
  std::filesystem::copy(run_ / "agent/model.safetensors", bare / "agent/model.safetensors");
  EXPECT_THROW(OfflineLearner(bare, OfflineConfig(), {}, layers::Precision::kF32), Error);
}

}  // namespace
}  // namespace hidreamer::agent
