#include "hidreamer/pipeline/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"

namespace hidreamer::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const StageId kStage{.name = "world_model", .settings = "world_model", .folder = "world_model"};

config::ExperimentConfig SmallConfig() {
  config::ExperimentConfig config;
  config.threads = 1;
  config.precision = "f32";
  return config;
}

class RunDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hid_rundir_" + std::to_string(::getpid()));
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  nlohmann::json RunJson() const { return nlohmann::json::parse(ReadFile(root_ / "run.json")); }

  fs::path root_;
};

TEST_F(RunDirectoryTest, AStageIsToDoThenBegunThenDone) {
  RunDirectory run(root_, SmallConfig());
  run.StartWork("hidreamer run a.yaml");
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kToDo);
  run.Begin(kStage);
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kBegun);
  fs::create_directories(run.Folder(kStage) / "checkpoints");
  run.Finish(kStage, 2.5, {{"updates", 7}});
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kDone);
  EXPECT_FALSE(fs::exists(run.Folder(kStage) / "checkpoints"));
  fs::create_directories(run.Folder(kStage) / "checkpoints");  // as after a kill just before
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kDone);
  EXPECT_FALSE(fs::exists(run.Folder(kStage) / "checkpoints"));
  EXPECT_EQ(RunJson()["stages"]["world_model"]["seconds"], 2.5);
}

TEST_F(RunDirectoryTest, OtherSettingsAreRefusedByNameAndForceClearsTheStage) {
  {
    RunDirectory run(root_, SmallConfig());
    run.Begin(kStage);
  }
  config::ExperimentConfig changed = SmallConfig();
  changed.world_model.layers = 2;
  RunDirectory run(root_, changed);
  EXPECT_THAT([&] { run.Inspect(kStage, false); },
              ThrowsMessage<Error>(HasSubstr("world_model.layers: 6 before, 2 now")));
  EXPECT_TRUE(fs::exists(run.Folder(kStage)));
  EXPECT_EQ(run.Inspect(kStage, true), StageState::kToDo);
  EXPECT_FALSE(fs::exists(run.Folder(kStage)));
}

TEST_F(RunDirectoryTest, SettingsOfLaterStagesDoNotMatter) {
  {
    RunDirectory run(root_, SmallConfig());
    run.Begin(kStage);
    run.Finish(kStage, 1, {});
  }
  config::ExperimentConfig changed = SmallConfig();
  changed.policy.horizon = 3;
  changed.threads = 2;
  EXPECT_EQ(RunDirectory(root_, changed).Inspect(kStage, false), StageState::kDone);
}

TEST_F(RunDirectoryTest, AResumedRunKeepsThreadsAndPrecision) {
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    run.EndWork("interrupted");
  }
  config::ExperimentConfig changed = SmallConfig();
  changed.threads = 2;
  changed.precision = "bf16";
  RunDirectory run(root_, changed);
  run.StartWork("second");
  EXPECT_EQ(run.threads(), 1);
  EXPECT_EQ(run.precision(), nn::Precision::kF32);
  run.EndWork("done");
  const nlohmann::json json = RunJson();
  ASSERT_EQ(json["calls"].size(), 2u);
  EXPECT_EQ(json["calls"][0]["outcome"], "interrupted");
  EXPECT_EQ(json["calls"][1]["command"], "second");
  EXPECT_EQ(json["seed"], 1);
  EXPECT_TRUE(json["versions"].contains("torch"));
  EXPECT_GT(json["machine"]["cores"], 0);
  EXPECT_GT(json["peak_memory_bytes"], 1 << 20);
}

TEST_F(RunDirectoryTest, TheKeptConfigReadsBackToTheSame) {
  config::ExperimentConfig config = SmallConfig();
  config.games = {"catch"};
  RunDirectory run(root_, config);
  run.StartWork("x");
  EXPECT_EQ(config::Flatten(config::LoadConfig(root_ / "config.yaml")), config::Flatten(config));
}

TEST_F(RunDirectoryTest, OneProcessAtATime) {
  auto first = std::make_unique<RunDirectory>(root_, SmallConfig());
  EXPECT_THAT([&] { RunDirectory second(root_, SmallConfig()); },
              ThrowsMessage<Error>(HasSubstr("another hidreamer process")));
  first.reset();
  EXPECT_NO_THROW(RunDirectory(root_, SmallConfig()));
}

TEST_F(RunDirectoryTest, ADamagedRecordCountsAsNotDone) {
  RunDirectory run(root_, SmallConfig());
  WriteFileAtomically(run.Folder(kStage) / "stage.json", "{\"settings\": {\"seed\"");
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kToDo);
}

}  // namespace
}  // namespace hidreamer::pipeline
