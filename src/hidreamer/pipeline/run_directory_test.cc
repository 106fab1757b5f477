#include "hidreamer/pipeline/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"
#include "hidreamer/pipeline/agent_stage.h"

namespace {

int flock_error = 0;  // what flock fails with; 0: it works

}  // namespace

// In place of the C library's.
extern "C" int flock(int file, int operation) noexcept {
  if (flock_error != 0) {
    errno = flock_error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, file, operation));
}

namespace hidreamer::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const StageId kStage{.name = "world_model", .settings = "world_model", .folder = "world_model"};

config::Config SmallConfig() {
  config::Config config;
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

TEST_F(RunDirectoryTest, ASettingThatAnOlderVersionDidNotKnowHadItsDefault) {
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("hidreamer run a.yaml");
    run.Begin(kStage);
    run.Finish(kStage, 1, {});
  }
  const fs::path file = root_ / "world_model/stage.json";
  auto record = nlohmann::json::parse(ReadFile(file));
  ASSERT_EQ(record["settings"].erase("world_model.mask"), 1);
  WriteFileAtomically(file, record.dump());
  EXPECT_EQ(RunDirectory(root_, SmallConfig()).Inspect(kStage, false), StageState::kDone);
  auto other = SmallConfig();
  other.world_model.mask = "strict";
  EXPECT_THROW(RunDirectory(root_, other).Inspect(kStage, false), Error);
}

// Writes a record's settings under the keys of an older version, {now: then}.
std::string WithFormerKeys(const fs::path& file, const config::Settings& former) {
  auto record = nlohmann::json::parse(ReadFile(file));
  for (const auto& [now, then] : former) {
    record["settings"][then] = record["settings"].at(now);
    record["settings"].erase(now);
  }
  const std::string hash = config::HashSettings(record["settings"].get<config::Settings>());
  record["first_hash"] = hash;
  WriteFileAtomically(file, record.dump());
  return hash;
}

TEST_F(RunDirectoryTest, AKeyThatHadAnotherNameLeavesAStageAsItIs) {
  const StageId policy{.name = "policy/pong", .settings = "policy", .folder = "policy/pong"};
  RunDirectory run(root_, SmallConfig());
  run.StartWork("first");
  run.Begin(policy);
  const fs::path begun = root_ / "policy/pong/begun.json", done = root_ / "policy/pong/stage.json";
  const std::string hash = WithFormerKeys(begun, {{"policy.features", "policy.feature"}});
  EXPECT_EQ(run.Inspect(policy, false), StageState::kBegun);
  EXPECT_EQ(run.Identity(policy)["config"], hash);  // as its checkpoints have it
  EXPECT_TRUE(run.Begin(policy).empty());
  EXPECT_EQ(run.Identity(policy)["config"], hash);
  run.Finish(policy, 1, {});
  WithFormerKeys(done, {{"policy.features", "policy.feature"}});
  EXPECT_EQ(run.Inspect(policy, false), StageState::kDone);
}

TEST_F(RunDirectoryTest, AnAgentOfAnOlderVersionIsDoneUnderTheSameSettings) {
  const config::Config config = config::LoadConfig(config::kOnline, {.overrides = {"threads=1"}});
  RunJournal journal(root_);
  const StageRecord stage = AgentStage(config, root_);
  journal.StartWork(AgentWork(config, "hidreamer agent"));
  journal.Begin(stage);
  journal.Finish(stage, 1, {});
  WithFormerKeys(root_ / "agent/stage.json", {{"tokenizer.warmup_updates", "tokenizer.head_start"},
                                              {"tokenizer.levels", "tokenizer.rvq_levels"},
                                              {"policy.features", "policy.sees"},
                                              {"collect.protocol", "protocol"},
                                              {"evaluation.times", "evaluations"}});
  EXPECT_EQ(journal.Inspect(stage, false), StageState::kDone);
  const auto other = config::LoadConfig(config::kOnline, {.overrides = {"policy.features=codes"}});
  EXPECT_THAT([&] { journal.Inspect(AgentStage(other, root_), false); },
              ThrowsMessage<Error>(HasSubstr("policy.features: 'codes+hidden' before, codes now")));
}

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

TEST_F(RunDirectoryTest, OtherSettingsAreRefusedByNameAndForceSetsTheStageAside) {
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    run.Begin(kStage);
    WriteFileAtomically(run.Folder(kStage) / "model.safetensors", "first");
    run.Finish(kStage, 1, {});
    run.EndWork("done");
  }
  config::Config changed = SmallConfig();
  changed.world_model.layers = 2;
  RunDirectory run(root_, changed);
  EXPECT_THAT([&] { run.Inspect(kStage, false); },
              ThrowsMessage<Error>(HasSubstr("world_model.layers: 6 before, 2 now")));
  EXPECT_TRUE(fs::exists(run.Folder(kStage)));
  EXPECT_EQ(run.Inspect(kStage, true), StageState::kChanged);
  EXPECT_TRUE(fs::exists(run.Folder(kStage) / "stage.json"));
  const fs::path before = root_ / "before";
  run.SetAside({kStage});
  EXPECT_FALSE(fs::exists(run.Folder(kStage)));
  EXPECT_EQ(run.Inspect(kStage, true), StageState::kToDo);
  run.StartWork("second");
  run.Begin(kStage);
  run.EndWork("interrupted");
  EXPECT_EQ(ReadFile(before / "world_model/model.safetensors"), "first");
  EXPECT_EQ(
      config::LoadConfig(config::kStaged, {.file = before / "config.yaml"}).world_model.layers, 6);
  run.Finish(kStage, 1, {});
  run.EndWork("done");
  EXPECT_FALSE(fs::exists(before));
  EXPECT_TRUE(fs::exists(run.Folder(kStage) / "stage.json"));
}

TEST_F(RunDirectoryTest, WhatSomebodyPutAmongTheResultsIsNotRemovedWithThem) {
  RunDirectory run(root_, SmallConfig());
  run.StartWork("first");
  run.Begin(kStage);
  WriteFileAtomically(run.Folder(kStage) / "notes.txt", "mine");
  WriteFileAtomically(root_ / "before/thesis.txt", "mine");
  run.SetAside({kStage});
  run.Finish(kStage, 1, {});
  run.EndWork("done");
  EXPECT_EQ(ReadFile(root_ / "before2/world_model/notes.txt"), "mine");
  EXPECT_EQ(ReadFile(root_ / "before/thesis.txt"), "mine");
}

TEST_F(RunDirectoryTest, SomebodysFilesAreRefusedUntouched) {
  const auto refused = [&](const fs::path& file, const std::string& text) {
    fs::remove_all(root_);
    WriteFileAtomically(root_ / file, text);
    try {
      RunDirectory run(root_, SmallConfig());
      run.Inspect(kStage, true);
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUser);
    }
    EXPECT_EQ(ReadFile(root_ / file), text);
    EXPECT_FALSE(fs::exists(root_ / ".lock"));
    return true;
  };
  for (const char* file : {"config.yaml", "run.json", "report.html", "summary.json",
                           "world_model/model.safetensors", "world_model/metrics.jsonl"}) {
    EXPECT_TRUE(refused(file, "{\"mine\": 1}")) << file;
  }
  EXPECT_FALSE(refused("thesis.txt", "beside a run"));
  fs::remove_all(root_);
  WriteFileAtomically(root_, "a file");
  EXPECT_THROW(RunDirectory(root_, SmallConfig()), Error);
  EXPECT_EQ(ReadFile(root_), "a file");
}

TEST_F(RunDirectoryTest, ADirectoryInWhichNoWorkWasStartedGoesAgain) {
  { RunDirectory run(root_ / "deep/down/", SmallConfig()); }
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(RunDirectoryTest, ARecordingFromElsewhereIsDoneWhateverTheSettings) {
  const StageId collect{.name = "collect/catch", .settings = "collect", .folder = "data/catch"};
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    run.Finish(collect, 1, {{"recorded_elsewhere", true}});
  }
  config::Config changed = SmallConfig();
  changed.collect.steps = 77;
  EXPECT_EQ(RunDirectory(root_, changed).Inspect(collect, true), StageState::kDone);
}

TEST_F(RunDirectoryTest, SettingsOfLaterStagesDoNotMatter) {
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    run.Begin(kStage);
    run.Finish(kStage, 1, {});
  }
  config::Config changed = SmallConfig();
  changed.policy.horizon = 3;
  changed.threads = 2;
  EXPECT_EQ(RunDirectory(root_, changed).Inspect(kStage, false), StageState::kDone);
}

TEST_F(RunDirectoryTest, AResumedRunKeepsThreadsAndPrecisionWhereNoneAreAskedFor) {
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    run.EndWork("interrupted");
  }
  config::Config same = SmallConfig();
  same.threads = 0;
  same.precision = "auto";
  RunDirectory run(root_, same);
  run.StartWork("second");
  EXPECT_EQ(run.threads(), 1);
  EXPECT_EQ(run.precision(), layers::Precision::kF32);
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

TEST_F(RunDirectoryTest, WhatMayChangeChangesAndIsRecorded) {
  std::string identity;
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("first");
    EXPECT_TRUE(run.Begin(kStage).empty());
    identity = run.Identity(kStage)["config"];
    fs::create_directories(run.Folder(kStage) / "checkpoints" / "step_000000030");
    run.EndWork("interrupted");
  }
  config::Config changed = SmallConfig();
  changed.threads = 2;
  changed.precision = "bf16";
  changed.world_model.lr = 1e-5;
  changed.world_model.epochs = 77;
  RunDirectory run(root_, changed);
  EXPECT_EQ(run.Inspect(kStage, false), StageState::kBegun);
  run.StartWork("second");
  EXPECT_EQ(run.threads(), 2);
  EXPECT_EQ(run.precision(), layers::Precision::kBf16);
  EXPECT_TRUE(run.Begin(kStage).contains("world_model.epochs"));
  EXPECT_EQ(run.Identity(kStage)["config"], identity);  // its checkpoints are still its own
  const nlohmann::json json = RunJson();
  ASSERT_EQ(json["changes"].size(), 1u);
  const nlohmann::json& change = json["changes"][0];
  EXPECT_EQ(change["stage"], "world_model");
  EXPECT_EQ(change["update"], 30);
  EXPECT_EQ(change["settings"]["world_model.lr"]["now"], "1e-05");
  EXPECT_EQ(change["settings"]["threads"], (nlohmann::json{{"before", 1}, {"now", 2}}));
  EXPECT_EQ(change["settings"]["precision"]["now"], "bf16");
  run.EndWork("done");
}

TEST_F(RunDirectoryTest, AFinishedStageIsNotGoneOnWithUnlessItMeasures) {
  const StageId evaluate{.name = "evaluate", .settings = "evaluate", .folder = "evaluation"};
  {
    RunDirectory run(root_, SmallConfig());
    run.StartWork("test");
    for (const StageId& stage : {kStage, evaluate}) {
      run.Begin(stage);
      run.Finish(stage, 1, {});
    }
  }
  config::Config changed = SmallConfig();
  changed.evaluation.probe_frames = 123;
  EXPECT_EQ(RunDirectory(root_, changed).Inspect(evaluate, false), StageState::kBegun);
  changed.world_model.epochs = 77;
  RunDirectory run(root_, changed);
  EXPECT_THAT([&] { run.Inspect(kStage, false); },
              ThrowsMessage<Error>(HasSubstr("once done it cannot be gone on with under other "
                                             "settings: world_model.epochs")));
}

TEST_F(RunDirectoryTest, TheKeptConfigReadsBackToTheSame) {
  config::Config config = SmallConfig();
  config.games = {"catch"};
  RunDirectory run(root_, config);
  run.StartWork("x");
  EXPECT_EQ(config::Flatten(config::LoadConfig(config::kStaged, {.file = root_ / "config.yaml"})),
            config::Flatten(config));
}

TEST_F(RunDirectoryTest, OneProcessAtATime) {
  auto first = std::make_unique<RunDirectory>(root_, SmallConfig());
  EXPECT_THAT([&] { RunDirectory second(root_, SmallConfig()); },
              ThrowsMessage<Error>(
                  ::testing::AllOf(HasSubstr("another hidreamer process"),
                                   HasSubstr(": process " + std::to_string(::getpid()) + " on "))));
  first.reset();
  EXPECT_NO_THROW(RunDirectory(root_, SmallConfig()));
}

TEST_F(RunDirectoryTest, ADamagedRecordIsAnErrorAndItsStageIsKept) {
  RunDirectory run(root_, SmallConfig());
  const std::string damaged = "{\"settings\": {\"seed\"";
  WriteFileAtomically(run.Folder(kStage) / "stage.json", damaged);
  EXPECT_THAT([&] { run.Inspect(kStage, true); }, ThrowsMessage<Error>(HasSubstr("is damaged")));
  EXPECT_EQ(ReadFile(run.Folder(kStage) / "stage.json"), damaged);
}

TEST_F(RunDirectoryTest, AFileSystemWithoutLocksIsWorkedOnAndOtherErrorsAreNamed) {
  for (const int error : {ENOLCK, EOPNOTSUPP, ENOSYS}) {
    flock_error = error;
    EXPECT_NO_THROW(RunDirectory(root_, SmallConfig())) << error;
  }
  flock_error = EIO;
  EXPECT_THAT([&] { RunDirectory run(root_, SmallConfig()); },
              ThrowsMessage<Error>(HasSubstr("Input/output error")));
  flock_error = 0;
}

}  // namespace
}  // namespace hidreamer::pipeline
