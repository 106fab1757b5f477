// What happens to trained work when a run is stopped, damaged or asked for something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Resume : public ProgramTest {
 protected:
  // Learns catch; 16 updates of random steps, then as many as are asked for.
  static Words Agent(const fs::path& out, int64_t steps, const Words& settings = {}) {
    return ShortAgent(
        out,
        Words{"threads=2", "evaluation.episodes=0", "steps=" + std::to_string(steps)} + settings);
  }

  // Starts it, waits until it has recorded so many updates or resumed, and sends the signal some
  // time after.
  Outcome Interrupt(const Words& words, const fs::path& metrics, int64_t updates, int signal,
                    double seconds) const {
    const fs::path log = root_ / "interrupted.log";
    fs::remove(log);
    const bool begun = fs::exists(metrics);
    Program program(words, log);
    for (;;) {
      const auto records = ReadJsonLines(metrics);
      if (begun ? fs::exists(log) && ReadFile(log).find("goes on at update") != std::string::npos
                : !records.empty() && records.back()["step"].get<int64_t>() >= updates) {
        break;
      }
      if (program.WaitFor(0.02)) {
        return program.Wait();
      }
    }
    program.WaitFor(seconds);
    program.Signal(signal);
    return program.Wait();
  }

  static nlohmann::json Json(const fs::path& path) { return nlohmann::json::parse(ReadFile(path)); }

  static std::map<std::string, std::string> Files(const fs::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) {
        files[fs::relative(entry.path(), directory)] = ReadFile(entry.path());
      }
    }
    return files;
  }

  static void ExpectSameAgent(const fs::path& a, const fs::path& b) {
    EXPECT_TRUE(ReadFile(a / "agent/model.safetensors") == ReadFile(b / "agent/model.safetensors"));
    EXPECT_EQ(ReadFile(a / "agent/curve.json"), ReadFile(b / "agent/curve.json"));
  }
};

TEST_F(Resume, ASignalInAnEvaluationLosesNothing) {
  const Words evaluated = {"evaluation.episodes=200"};  // a second or so
  const fs::path whole = root_ / "whole", out = root_ / "out";
  const Outcome undisturbed = RunProgram(Agent(whole, 400, evaluated));
  ASSERT_EQ(undisturbed.code, 0) << undisturbed.text;
  for (const int signal : {SIGHUP, SIGTERM}) {
    const Outcome outcome =
        Interrupt(Agent(out, 400, evaluated), out / "agent/metrics.jsonl", 13, signal, 0.05);
    ASSERT_EQ(outcome.code, 130) << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr("Interrupted. Run the same command again to resume."));
    EXPECT_TRUE(fs::exists(out / "agent/checkpoints/step_000000013")) << outcome.text;
  }
  const Outcome resumed = RunProgram(Agent(out, 400, evaluated));
  ASSERT_EQ(resumed.code, 0) << resumed.text;
  EXPECT_THAT(resumed.text, HasSubstr("goes on at update 13"));
  ExpectSameAgent(whole, out);
}

TEST_F(Resume, ASignalInTheHeadStartLosesNothing) {
  const Words long_start = {"tokenizer.warmup_updates=200"};
  const fs::path whole = root_ / "whole", out = root_ / "out";
  ASSERT_EQ(RunProgram(Agent(whole, 320, long_start)).code, 0);
  const Outcome outcome =
      Interrupt(Agent(out, 320, long_start), out / "agent/metrics.jsonl", 15, SIGTERM, 0.3);
  ASSERT_EQ(outcome.code, 130) << outcome.text;
  EXPECT_TRUE(fs::exists(out / "agent/checkpoints/step_000000015")) << outcome.text;
  ASSERT_EQ(RunProgram(Agent(out, 320, long_start)).code, 0);
  ExpectSameAgent(whole, out);
}

TEST_F(Resume, AFinishedAgentGoesOnWithMoreSteps) {
  const fs::path out = root_ / "out";
  ASSERT_EQ(RunProgram(Agent(out, 480)).code, 0);
  const Outcome done = RunProgram(Agent(out, 480, {"world_model.lr=0.0005"}));
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_THAT(done.text, HasSubstr("were done before"));
  const auto before = Files(out);
  const Outcome other = RunProgram(Agent(out, 640, {"policy.gamma=0.9"}));
  EXPECT_EQ(other.code, 2) << other.text;
  EXPECT_THAT(other.text, HasSubstr("policy.gamma: 0.99 before, 0.9 now"));
  const Outcome fewer = RunProgram(Agent(out, 400));
  EXPECT_EQ(fewer.code, 2) << fewer.text;
  EXPECT_THAT(fewer.text, HasSubstr("has played 480 steps already"));
  auto after = Files(out);
  after[".lock"] = before.at(".lock");
  EXPECT_EQ(after, before);

  const Outcome more =
      RunProgram(Agent(out, 640, {"world_model.lr=0.0005", "checkpoint_seconds=1"}));
  ASSERT_EQ(more.code, 0) << more.text;
  EXPECT_THAT(more.text, HasSubstr("follow the schedule of 640 steps from here (before: 480)"));
  const nlohmann::json change = Json(out / "run.json")["changes"].back();
  EXPECT_EQ(change["update"], 30);
  EXPECT_EQ(change["settings"]["steps"], (nlohmann::json{{"before", "480"}, {"now", "640"}}));
  EXPECT_EQ(change["settings"]["world_model.lr"]["now"], "0.0005");
  EXPECT_EQ(change["settings"]["checkpoint_seconds"]["now"], 1.0);
  EXPECT_EQ(Json(out / "agent/curve.json")["steps"], 640);
  EXPECT_EQ(ReadJsonLines(out / "agent/metrics.jsonl").back()["step"], 40);
  EXPECT_EQ(fs::file_size(out / "replay/stream_00.steps"), 80u * 8);
}

TEST_F(Resume, CheckpointsOfANewerVersionAreAnErrorAndStay) {
  const fs::path out = root_ / "out";
  ASSERT_EQ(Interrupt(Agent(out, 4000), out / "agent/metrics.jsonl", 20, SIGINT, 0).code, 130);
  for (const auto& entry : fs::directory_iterator(out / "agent/checkpoints")) {
    nlohmann::json state = Json(entry.path() / "state.json");
    state["format"] = 99;
    WriteFileAtomically(entry.path() / "state.json", state.dump());
  }
  const auto before = Files(out / "agent/checkpoints");
  const auto replay = Files(out / "replay");
  const Outcome refused = RunProgram(Agent(out, 4000));
  EXPECT_EQ(refused.code, 2) << refused.text;
  EXPECT_THAT(refused.text, HasSubstr("was written by a newer version of hidreamer"));
  EXPECT_EQ(Files(out / "agent/checkpoints"), before);
  EXPECT_EQ(Files(out / "replay"), replay);
}

// A NaN among the rewards of the replay, as data or a fault of memory may bring it.
TEST_F(Resume, NaNStopsTheAgentWithTheBatchAndKeepsTheCheckpoint) {
  const fs::path out = root_ / "out";
  ASSERT_EQ(Interrupt(Agent(out, 4000), out / "agent/metrics.jsonl", 20, SIGINT, 0).code, 130);
  const auto kept = Files(out / "agent/checkpoints");
  for (const auto& entry : fs::directory_iterator(out / "replay")) {
    if (entry.path().extension() == ".steps") {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      for (int64_t step = 0; step < 20; ++step) {
        file.seekp(8 * step);
        file.write("\x00\x00\xc0\x7f", 4);
      }
    }
  }
  const Outcome stopped = RunProgram(Agent(out, 4000));
  EXPECT_EQ(stopped.code, 2) << stopped.text;
  EXPECT_THAT(stopped.text, HasSubstr("is NaN or infinite"));
  EXPECT_THAT(stopped.text, HasSubstr("it goes on from the checkpoint of update "));
  EXPECT_EQ(Files(out / "agent/checkpoints"), kept);
  int saved = 0;
  for (const auto& entry : fs::directory_iterator(out / "agent")) {
    if (entry.path().filename().string().starts_with("nan_update_")) {
      ++saved;
      EXPECT_EQ(Json(entry.path() / "update.json")["stage"], "agent");
      EXPECT_GT(fs::file_size(entry.path() / "batch.safetensors"), 1000u);
    }
  }
  EXPECT_EQ(saved, 1);
}

TEST_F(Resume, WhatWasMeasuredUnderOtherSettingsIsMeasuredAnew) {
  const std::string config = std::string(HID_SOURCE_DIR) + "/configs/debug.yaml";
  const fs::path run = root_ / "run";
  ASSERT_EQ(
      RunProgram({"collect", "--game", "catch", "--steps", "600", "--out", run / "data/catch"})
          .code,
      0);
  ASSERT_EQ(RunProgram({"train", "encoder", "--run", run, "--config", config}).code, 0);
  const auto probe = [&](const std::string& frames) {
    const Outcome outcome =
        RunProgram({"probe", "--run", run, "--set", "evaluation.probe_frames=" + frames});
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    return outcome.text;
  };
  EXPECT_THAT(probe("300"), HasSubstr("evaluation: probe_catch"));
  EXPECT_THAT(probe("300"), ::testing::Not(HasSubstr("evaluation: probe_catch")));
  EXPECT_THAT(probe("150"), HasSubstr("evaluation: probe_catch"));
  EXPECT_EQ(Json(run / "evaluation/probe_catch.json")["measured_with"]["probe_frames"], 150);
}

}  // namespace
}  // namespace hidreamer::integration
