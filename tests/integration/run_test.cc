// Drives the program as a user does: the smallest experiment from frames to report, killed and
// gone on with, and the errors a user can make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "hidreamer/base/files.h"
#include "hidreamer/base/json_lines.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kDebugConfig = std::string(HID_SOURCE_DIR) + "/configs/debug.yaml";

// What a run learned and measured, file by file: all weights, tokens, embeddings and scores.
std::map<std::string, std::string> Results(const fs::path& run) {
  std::map<std::string, std::string> results;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    if (entry.path().extension() == ".safetensors") {
      results[fs::relative(entry.path(), run)] = ReadFile(entry.path());
    }
  }
  results["summary.json"] = ReadFile(run / "summary.json");
  return results;
}

// metrics.jsonl without the wall-clock time.
std::vector<nlohmann::json> Metrics(const fs::path& path) {
  std::vector<nlohmann::json> records = ReadJsonLines(path);
  for (nlohmann::json& record : records) {
    record.erase("time");
  }
  return records;
}

class Run : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    root_ = fs::temp_directory_path() / ("hid_run_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    whole_ = root_ / "whole";
    first_ = RunProgram({"run", kDebugConfig, "--out", whole_});
  }
  static void TearDownTestSuite() { fs::remove_all(root_); }

  void SetUp() override { ASSERT_EQ(first_.code, 0) << first_.text; }

  static fs::path root_;
  static fs::path whole_;  // a run that nothing disturbed
  static Outcome first_;
};

fs::path Run::root_;
fs::path Run::whole_;
Outcome Run::first_;

TEST_F(Run, GoesFromFramesToTheReport) {
  for (const char* file :
       {"config.yaml", "run.json", "data/catch/stage.json", "encoder/model.safetensors",
        "embeddings/catch.safetensors", "tokenizer/model.safetensors",
        "single_vq/model.safetensors", "tokens/catch.safetensors", "world_model/model.safetensors",
        "world_model/metrics.jsonl", "policy/catch/model.safetensors", "summary.json",
        "report.html"}) {
    EXPECT_TRUE(fs::exists(whole_ / file)) << file;
  }
  EXPECT_FALSE(fs::exists(whole_ / "encoder/checkpoints"));
  EXPECT_THAT(first_.text, HasSubstr("score, catch (atari100k)"));
  EXPECT_THAT(first_.text, HasSubstr("report: "));
  const nlohmann::json run = nlohmann::json::parse(ReadFile(whole_ / "run.json"));
  EXPECT_EQ(run["threads"], 1);
  EXPECT_EQ(run["precision"], "f32");
  EXPECT_EQ(run["calls"][0]["outcome"], "done");
  EXPECT_GT(run["peak_memory_bytes"], 10'000'000);
  EXPECT_TRUE(run["stages"].contains("policy/catch"));
  EXPECT_FALSE(run["machine"]["cpu"].get<std::string>().empty());
}

TEST_F(Run, DoesNothingWhereAllIsDone) {
  const auto before = Results(whole_);
  const Outcome again = RunProgram({"run", kDebugConfig, "--out", whole_});
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_THAT(again.text, HasSubstr("world_model: done before"));
  EXPECT_TRUE(before == Results(whole_));
}

// Codes have no decoder here: they are drawn with frames of the recording.
TEST_F(Run, IsPlayedWithInABrowser) {
  const fs::path log = root_ / "play.log";
  Program program({"play", whole_, "--port", "0", "--lead", "20"}, log);
  const ServedPage page(program, log);
  const nlohmann::json about = page.Call("game", nlohmann::json::object());
  EXPECT_EQ(about["game"], "catch");
  EXPECT_EQ(about["grid"], 1);
  const size_t levels = about["level_codes"].size();
  const auto begun = page.Call("begin", {{"session", "a"}, {"seed", 3}});
  EXPECT_EQ(begun["game"]["codes"].size(), levels);
  EXPECT_EQ(begun["game"]["codes"], begun["dream"]["codes"]);
  nlohmann::json moment;
  for (int step = 0; step < 40; ++step) {  // longer than the world model has room for
    moment = page.Call("step", {{"session", "a"}, {"pilot", "dream"}});
  }
  EXPECT_EQ(moment["step"], 40);
  EXPECT_TRUE(moment["dream"]["value"].is_number());
  const int64_t code = (moment["dream"]["codes"][0].get<int64_t>() + 1) % 4;
  const auto edited =
      page.Call("edit", {{"session", "a"}, {"place", 0}, {"level", 0}, {"code", code}});
  EXPECT_EQ(edited["dream"]["codes"][0], code);
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait().code, 0);
  const Outcome other = RunProgram({"play", whole_, "--game", "pong"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.text, HasSubstr("--game with one of catch"));
}

TEST_F(Run, KilledAtManyMomentsGoesOnToTheBit) {
  const fs::path out = root_ / "killed";
  int kills = 0;
  for (double delay = 0.3; true; delay += 0.17) {
    Program program({"run", kDebugConfig, "--out", out, "--set", "checkpoint_seconds=0"},
                    root_ / "killed.log");
    if (!program.WaitFor(delay)) {
      program.Signal(SIGKILL);
    }
    const Outcome outcome = program.Wait();
    if (outcome.signal != SIGKILL) {  // it was done, perhaps just before the signal
      ASSERT_EQ(outcome.code, 0) << outcome.text;
      break;
    }
    ++kills;
  }
  EXPECT_GE(kills, 3);
  const auto expected = Results(whole_);
  const auto actual = Results(out);
  for (const auto& [file, bytes] : expected) {
    ASSERT_TRUE(actual.contains(file)) << file;
    EXPECT_TRUE(actual.at(file) == bytes) << file << " differs after " << kills << " kills";
  }
  EXPECT_EQ(actual.size(), expected.size());
  for (const char* stage : {"encoder", "tokenizer", "world_model", "policy/catch"}) {
    EXPECT_EQ(Metrics(out / stage / "metrics.jsonl"), Metrics(whole_ / stage / "metrics.jsonl"))
        << stage;
  }
}

TEST_F(Run, CtrlCEndsWith130AndTheSameCommandGoesOn) {
  const fs::path out = root_ / "interrupted";
  const std::vector<std::string> command = {"run", kDebugConfig, "--out",
                                            out,   "--set",      "encoder.epochs=200"};
  Program program(command, root_ / "interrupted.log");
  for (int i = 0; i < 1000 && !fs::exists(out / "encoder" / "metrics.jsonl"); ++i) {
    ASSERT_FALSE(program.WaitFor(0.02)) << program.Wait().text;
  }
  program.Signal(SIGINT);
  const Outcome outcome = program.Wait();
  EXPECT_EQ(outcome.code, 130) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("Interrupted. Run the same command again to resume."));
  EXPECT_FALSE(fs::is_empty(out / "encoder" / "checkpoints"));

  Program second(command, root_ / "resumed.log");
  const auto resumed = [&, log = root_ / "resumed.log"] {
    return fs::exists(log) && ReadFile(log).find("encoder: goes on at update") != std::string::npos;
  };
  for (int i = 0; i < 1000 && !resumed(); ++i) {
    ASSERT_FALSE(second.WaitFor(0.02)) << second.Wait().text;
  }
  EXPECT_TRUE(resumed());
  second.Signal(SIGINT);
  EXPECT_EQ(second.Wait().code, 130);
}

TEST_F(Run, AnotherConfigInTheSameDirectoryIsRefusedUnlessForced) {
  const fs::path out = root_ / "forced";
  fs::copy(whole_, out, fs::copy_options::recursive);
  std::vector<std::string> command = {"run",   kDebugConfig,       "--out", out,
                                      "--set", "policy.horizon=4", "--set", "seed=1"};
  const Outcome refused = RunProgram(command);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.text, HasSubstr("policy.horizon: 5 before, 4 now"));
  command.emplace_back("--force");
  const Outcome forced = RunProgram(command);
  EXPECT_EQ(forced.code, 0) << forced.text;
  EXPECT_THAT(forced.text, HasSubstr("world_model: done before"));
  EXPECT_NE(ReadFile(out / "policy/catch/model.safetensors"),
            ReadFile(whole_ / "policy/catch/model.safetensors"));
}

TEST_F(Run, OneStageAloneUsesTheRunsConfig) {
  const fs::path out = root_ / "single";
  fs::copy(whole_, out, fs::copy_options::recursive);
  fs::remove_all(out / "world_model");
  const Outcome policy = RunProgram({"train", "policy", "--run", out, "--game", "catch"});
  EXPECT_EQ(policy.code, 2);
  EXPECT_THAT(policy.text, HasSubstr("world_model comes before policy/catch and is not done"));
  const Outcome trained = RunProgram({"train", "world-model", "--run", out});
  EXPECT_EQ(trained.code, 0) << trained.text;
  EXPECT_EQ(ReadFile(out / "world_model/model.safetensors"),
            ReadFile(whole_ / "world_model/model.safetensors"));
}

TEST_F(Run, TrainsInBf16Too) {
  const Outcome outcome = RunProgram({"run", kDebugConfig, "--out", root_ / "bf16", "--set",
                                      "precision=bf16", "--set", "evaluation.episodes=1"});
  EXPECT_EQ(outcome.code, 0) << outcome.text;
}

TEST(Errors, NameTheKeyAndExitWith2) {
  const Outcome unknown =
      RunProgram({"run", kDebugConfig, "--out", "/nonexistent/x", "--set", "world_model.widht=8"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("error: --set world_model.widht=8: unknown key"));
  EXPECT_THAT(unknown.text, HasSubstr("hint: did you mean 'world_model.width'?"));
  EXPECT_EQ(RunProgram({"run", "missing.yaml"}).code, 2);
  EXPECT_EQ(RunProgram({"run"}).code, 2);
  EXPECT_EQ(RunProgram({"nonsense"}).code, 2);
  EXPECT_EQ(RunProgram({"train", "policy", "--run", "/nonexistent/x"}).code, 2);
  const Outcome unwritable = RunProgram({"run", kDebugConfig, "--out", "/proc/x"});
  EXPECT_EQ(unwritable.code, 2);
  EXPECT_THAT(unwritable.text, HasSubstr("/proc/x"));
}

TEST(Errors, AnUnknownGameIsNamedBeforeAnythingIsTrained) {
  const fs::path out =
      fs::temp_directory_path() / ("hid_unknown_game_" + std::to_string(::getpid()));
  const Outcome outcome =
      RunProgram({"run", kDebugConfig, "--out", out, "--set", "games=catch,cacth"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("cacth"));
  EXPECT_FALSE(fs::exists(out / "data"));
  fs::remove_all(out);
}

TEST(Help, IsThereForEveryCommand) {
  EXPECT_EQ(RunProgram({"--help"}).code, 0);
  EXPECT_EQ(RunProgram({"--version"}).code, 0);
  for (const char* command : {"run", "collect", "train", "tokenize"}) {
    const Outcome help = RunProgram({command, "--help"});
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_THAT(help.text, HasSubstr("Example: hidreamer ")) << command;
  }
  const Outcome defaults = RunProgram({"run", "--defaults"});
  EXPECT_EQ(defaults.code, 0);
  EXPECT_THAT(defaults.text, HasSubstr("world_model:\n"));
}

}  // namespace
}  // namespace hidreamer::integration
