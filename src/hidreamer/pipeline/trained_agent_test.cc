#include "hidreamer/pipeline/trained_agent.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/beginnings.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/config/load.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/pipeline/agent_stage.h"

namespace hidreamer::pipeline {
namespace {

namespace fs = std::filesystem;

config::Config SmallAgent() {
  config::Config config = config::Preset("test");
  config.world_model.width = 16;
  config.policy.hidden_width = 8;
  config.seed = 7;
  return config;
}

class TrainedAgent : public ::testing::Test {
 protected:
  // A finished run as RunAgent leaves it, of an agent that has learned nothing.
  void SetUp() override {
    const config::Config config = SmallAgent();
    torch::manual_seed(1);
    agent::AgentModels models(agent::OptionsOf(config, 3));
    fs::create_directories(run_ / "agent");
    formats::SaveSafetensors(run_ / "agent/model.safetensors", formats::NamedState(*models),
                             {{"options", models->options().ToJson()}});
    const auto& world = models->options().world_model;
    agent::SaveBeginnings(
        {.codes = torch::ones({2, world.context, world.layout.places, world.layout.levels},
                              torch::kLong),
         .values = {},
         .previous_actions = torch::full({2, world.context}, 2, torch::kLong),
         .firsts = torch::zeros({2, world.context}, torch::kBool)},
        run_);
    WriteFileAtomically(
        run_ / "agent/stage.json",
        nlohmann::json{
            {"settings", AgentStage(config, run_).settings}, {"seed", 7}, {"seconds", 60.0}}
            .dump());
    WriteFileAtomically(
        run_ / "run.json",
        nlohmann::json{{"calls", {{{"command", "/opt/bin/hidreamer agent --out /home/me/run"}}}},
                       {"machine", {{"cpu", "a CPU"}}},
                       {"precision", "f32"},
                       {"threads", 1},
                       {"versions", {{"hidreamer", "1"}}}}
            .dump());
    WriteFileAtomically(scores_,
                        nlohmann::json{{"mean", 1.5}, {"trained", DescribeTraining(run_)}}.dump());
  }

  TemporaryDirectory directory_{fs::temp_directory_path() /
                                ("hid_trained_" + std::to_string(::getpid()))};
  fs::path run_ = directory_.path() / "run", packed_ = directory_.path() / "packed",
           scores_ = directory_.path() / "scores.json";
};

TEST(NameSetting, IsTheNearestPresetAndWhatDiffers) {
  config::Config config = config::Preset("gpu");
  config.game = "breakout";
  config.seed = 3;
  EXPECT_EQ(NameSetting(config::Flatten(config)), "gpu");
  config.world_model.channels = 96;
  EXPECT_EQ(NameSetting(config::Flatten(config)), "gpu, world_model.channels=96");
}

TEST_F(TrainedAgent, IsDescribedByItsRun) {
  const nlohmann::json trained = DescribeTraining(run_);
  EXPECT_EQ(trained["setting"], "test, policy.hidden_width=8, world_model.width=16");
  EXPECT_EQ(trained["seed"], 7);
  EXPECT_EQ(trained["steps"], 14000);
  EXPECT_EQ(trained["commands"], nlohmann::json{"hidreamer agent --out run"});
  EXPECT_TRUE(DescribeTraining(directory_.path()).empty());
}

TEST_F(TrainedAgent, IsARunAgainWhenPacked) {
  PackAgent(run_, packed_, scores_);
  const auto before = formats::NamedState(*agent::LoadAgentModels(run_));
  for (const auto& [name, tensor] : formats::NamedState(*agent::LoadAgentModels(packed_))) {
    // The slow critic is not there: it begins as the critic, as in training.
    const std::string of = name.starts_with("slow_") ? name.substr(5) : name;
    EXPECT_TRUE(torch::allclose(tensor, before.at(of), 1e-3, 1e-6)) << name;
    EXPECT_TRUE(!name.starts_with("tokenizer.") || torch::equal(tensor, before.at(name))) << name;
  }
  EXPECT_LT(fs::file_size(packed_ / "agent/model.safetensors"),
            fs::file_size(run_ / "agent/model.safetensors") * 7 / 10);
  const agent::AgentModels models = agent::LoadAgentModels(packed_);
  const auto beginnings = agent::ReadBeginnings(models, packed_);
  EXPECT_TRUE(beginnings.codes.eq(1).all().item<bool>());
  EXPECT_TRUE(beginnings.previous_actions.eq(2).all().item<bool>());
  EXPECT_EQ(beginnings.values.size(1), models->options().world_model.context);
  EXPECT_EQ(DescribeTraining(packed_), DescribeTraining(run_));
  EXPECT_EQ(nlohmann::json::parse(ReadFile(packed_ / "model.json"))["scored"]["mean"], 1.5);
  PackAgent(run_, packed_, scores_);  // again, over its own
}

TEST_F(TrainedAgent, IsNotPackedWithTheScoresOfAnother) {
  WriteFileAtomically(scores_, R"({"mean": 20, "trained": {"setting": "gpu"}})");
  EXPECT_THROW(PackAgent(run_, packed_, scores_), Error);
  EXPECT_FALSE(fs::exists(packed_));
}

TEST_F(TrainedAgent, IsNotPackedOverWhatIsNotOurs) {
  fs::create_directories(packed_);
  WriteFileAtomically(packed_ / "thesis.txt", "years of work");
  EXPECT_THROW(PackAgent(run_, packed_, scores_), Error);
  EXPECT_TRUE(fs::exists(packed_ / "thesis.txt"));
}

TEST_F(TrainedAgent, IsFoundByNameUnlessThereIsSuchAPath) {
  PackAgent(run_, directory_.path() / "models/somebody", scores_);
  ::setenv("HIDREAMER_MODELS", (directory_.path() / "models").c_str(), 1);
  EXPECT_EQ(FindRun("somebody"), directory_.path() / "models/somebody");
  EXPECT_EQ(FindRun("nobody"), "nobody");
  EXPECT_EQ(FindRun(run_.string()), run_);
  ::unsetenv("HIDREAMER_MODELS");
}

}  // namespace
}  // namespace hidreamer::pipeline
