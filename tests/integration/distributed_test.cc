// Several processes train one world model, as torchrun starts them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Distributed : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hid_distributed_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    const Outcome outcome = RunProgram({"run", std::string(HID_SOURCE_DIR) + "/configs/debug.yaml",
                                        "--out", root_ / "whole", "--set", "world_model.dropout=0",
                                        "--set", "split.compare=false"});
    ASSERT_EQ(outcome.code, 0) << outcome.text;
  }
  void TearDown() override {
    for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_PORT"}) {
      ::unsetenv(name);
    }
    fs::remove_all(root_);
  }

  // A copy of the run with no world model yet.
  fs::path Fresh(const std::string& name) const {
    const fs::path run = root_ / name;
    fs::copy(root_ / "whole", run, fs::copy_options::recursive);
    fs::remove_all(run / "world_model");
    return run;
  }

  Program Start(const fs::path& run, int rank, const std::vector<std::string>& more = {}) const {
    ::setenv("RANK", std::to_string(rank).c_str(), 1);
    ::setenv("WORLD_SIZE", "2", 1);
    ::setenv("MASTER_PORT", std::to_string(20000 + ::getpid() % 20000).c_str(), 1);
    std::vector<std::string> command = {"train", "world-model", "--run", run};
    command.insert(command.end(), more.begin(), more.end());
    return Program(command, root_ / ("rank" + std::to_string(rank) + ".log"));
  }

  fs::path root_;
};

TEST_F(Distributed, TwoProcessesLearnWhatOneLearns) {
  const fs::path run = Fresh("together");
  Program leader = Start(run, 0), other = Start(run, 1);
  const Outcome led = leader.Wait(), followed = other.Wait();
  ASSERT_EQ(led.code, 0) << led.text;
  ASSERT_EQ(followed.code, 0) << followed.text;
  EXPECT_THAT(led.text, HasSubstr("2 processes: "));
  const auto alone = ReadJsonLines(root_ / "whole/world_model/metrics.jsonl");
  const auto together = ReadJsonLines(run / "world_model/metrics.jsonl");
  ASSERT_EQ(alone.size(), together.size());
  ASSERT_GT(alone.size(), 2);
  for (size_t i = 0; i < alone.size(); ++i) {
    for (const char* key : {"loss", "grad_norm", "accuracy_l0", "validation_loss"}) {
      if (alone[i].contains(key)) {
        const auto value = alone[i][key].get<double>();
        EXPECT_NEAR(together[i][key].get<double>(), value, 1e-4 * std::max(1.0, value))
            << key << " of record " << i;
      }
    }
  }
  // Done already: both end at once.
  Program again = Start(run, 0), idle = Start(run, 1);
  EXPECT_EQ(again.Wait().code, 0);
  EXPECT_EQ(idle.Wait().code, 0);
}

TEST_F(Distributed, ADeadProcessEndsTheOthersAndTheRunGoesOn) {
  const fs::path run = Fresh("killed");
  const std::vector<std::string> settings = {
      "--set",  "world_model.epochs=400", "--set", "checkpoint_seconds=0.05",
      "--set",  "world_model.dropout=0",  "--set", "split.compare=false",
      "--force"};
  Program leader = Start(run, 0, settings), other = Start(run, 1, settings);
  const fs::path checkpoints = run / "world_model" / "checkpoints";
  for (int i = 0; i < 2000 && (!fs::exists(checkpoints) || fs::is_empty(checkpoints)); ++i) {
    ASSERT_FALSE(leader.WaitFor(0.02)) << leader.Wait().text;
  }
  other.Signal(SIGKILL);
  const Outcome led = leader.Wait();
  EXPECT_EQ(led.code, 2) << led.text;
  EXPECT_THAT(led.text, HasSubstr("another process has ended"));
  Program resumed = Start(run, 0, settings), partner = Start(run, 1, settings);
  for (int i = 0; i < 2000; ++i) {
    if (resumed.WaitFor(0.02) ||
        ReadFile(root_ / "rank0.log").find("goes on at update") != std::string::npos) {
      break;
    }
  }
  resumed.Signal(SIGINT);
  const Outcome interrupted = resumed.Wait();
  EXPECT_EQ(interrupted.code, 130) << interrupted.text;
  EXPECT_THAT(interrupted.text, HasSubstr("goes on at update"));
  EXPECT_EQ(partner.Wait().code, 130);
}

}  // namespace
}  // namespace hidreamer::integration
