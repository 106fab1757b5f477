// What a user may do to files and paths, in every command: nothing of theirs is lost, and what is
// refused leaves no trace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "hidreamer/base/files.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kDebugConfig = std::string(HID_SOURCE_DIR) + "/configs/debug.yaml";
const std::string kWeights = std::string(HID_GOLDEN_DIR) + "/parity/encoder.weights.safetensors";

// All files below a path with their bytes, all directories with none.
std::map<std::string, std::string> Tree(const fs::path& root) {
  std::map<std::string, std::string> tree;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    tree[fs::relative(entry.path(), root)] = entry.is_regular_file() ? ReadFile(entry) : "";
  }
  return tree;
}

Words Collect(const std::string& out, const Words& more = {}) {
  return Words{"collect", "--game", "catch", "--steps", "40", "--threads", "1", "--out", out} +
         more;
}

// An agent that learns for a second or two.
Words Agent(const std::string& out) {
  Words words = {"agent", "--preset", "test", "--steps", "1000", "--out", out};
  for (const char* setting :
       {"threads=1", "collect.prefill=256", "collect.steps_per_update=64",
        "tokenizer.warmup_updates=2", "tokenizer.batch=8", "world_model.batch=2", "policy.batch=4",
        "policy.start_after=2", "evaluation.times=1", "evaluation.episodes=0"}) {
    words = words + Words{"--set", setting};
  }
  return words;
}

// Whether the old result was set aside and the new one is on its way.
bool Begun(const fs::path& run, const std::string& stage) {
  return fs::exists(run / "before" / stage / "model.safetensors") &&
         fs::exists(run / stage / "metrics.jsonl");
}

class FaultsOfFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_ = fs::canonical(fs::temp_directory_path()) /
             ("hid_faults_files_" + std::to_string(::getpid()));
    fs::remove_all(suite_);
    fs::create_directories(suite_);
    ::setenv("CUDA_VISIBLE_DEVICES", "", /*replace=*/1);  // device=cuda is an error everywhere
    run_ = suite_ / "run";
    first_ = RunProgram({"run", kDebugConfig, "--out", run_});
    agent_ = suite_ / "agent";
    second_ = RunProgram(Agent(agent_));
  }
  static void TearDownTestSuite() { fs::remove_all(suite_); }

  void SetUp() override {
    ASSERT_EQ(first_.code, 0) << first_.text;
    ASSERT_EQ(second_.code, 0) << second_.text;
    before_ = fs::current_path();
    root_ = suite_ / "test";
    fs::remove_all(root_);
    fs::create_directories(root_);
    fs::current_path(root_);
  }
  void TearDown() override { fs::current_path(before_); }

  // A copy of the finished run, or of the finished agent.
  fs::path Copy(const fs::path& of) const {
    const fs::path copy = root_ / ("copy_" + of.filename().string());
    fs::copy(of, copy, fs::copy_options::recursive);
    return copy;
  }

  static fs::path suite_, run_, agent_;
  static Outcome first_, second_;
  fs::path root_, before_;
};

fs::path FaultsOfFiles::suite_, FaultsOfFiles::run_, FaultsOfFiles::agent_;
Outcome FaultsOfFiles::first_, FaultsOfFiles::second_;

TEST_F(FaultsOfFiles, PathsMayBeTypedInAnyWay) {
  fs::create_directories("sub dir");
  fs::create_directories("real");
  fs::create_directory_symlink("real", "link");
  fs::current_path("sub dir");
  const std::map<std::string, std::string> recordings = {
      {"slash/", "sub dir/slash"},
      {"./dot", "sub dir/dot"},
      {"../up/.", "up"},
      {"a b/c d", "sub dir/a b/c d"},
      {"../link", "real"},
      {"../link/in//", "real/in"},
      {".", "sub dir"},
  };
  for (const auto& [typed, place] : recordings) {
    if (typed == ".") {
      fs::create_directories("../here");
      fs::current_path("../here");
    }
    if (typed == "../link/in//") {
      fs::remove_all(root_ / "real");
      fs::create_directories(root_ / "real");
    }
    const Outcome outcome = RunProgram(Collect(typed));
    EXPECT_EQ(outcome.code, 0) << typed << "\n" << outcome.text;
    const fs::path store = typed == "." ? fs::path("store.json") : root_ / place / "store.json";
    EXPECT_TRUE(fs::exists(store)) << typed;
    fs::current_path(root_ / "sub dir");
  }
  // Every other command with such paths.
  fs::copy(run_, "my run", fs::copy_options::recursive);
  fs::create_directory_symlink("my run", "run");
  const Words commands[] = {
      {"export", "run/", "--out", "./out dir/../x.safetensors"},
      {"export", "./my run/encoder/", "--out", "../y.safetensors"},
      {"dream", "run/.", "--out", "out dir/d.webp"},
      {"eval", "my run/", "--episodes", "1", "--json", "out dir/./e.json"},
      {"report", "run"},
      {"import", kWeights, "--out", "imported/"},
      {"agent", "--defaults", "--out", "x/"},
      {"run", kDebugConfig, "--out", "run/"},
  };
  for (const Words& command : commands) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.code, 0) << command[0] << "\n" << outcome.text;
  }
  for (const char* file : {"x.safetensors", "../y.safetensors", "out dir/d.webp", "out dir/e.json",
                           "my run/report.html", "imported/model.safetensors"}) {
    EXPECT_TRUE(fs::is_regular_file(file)) << file;
  }
  EXPECT_TRUE(fs::is_symlink("run"));
}

TEST_F(FaultsOfFiles, ADirectoryWithSomebodysFilesIsRefusedUntouched) {
  WriteFileAtomically("mine/thesis.tex", "Chapter 1");
  WriteFileAtomically("config/config.yaml", "mine: 1\n");
  WriteFileAtomically("report/report.html", "mine");
  WriteFileAtomically("json/run.json", "{\"mine\": 1}");
  WriteFileAtomically("stage/encoder/model.safetensors", "mine");
  WriteFileAtomically("replay/replay/notes.txt", "mine");
  WriteFileAtomically("file", "mine");
  ASSERT_EQ(RunProgram(Collect("recording")).code, 0);
  WriteFileAtomically("recording/notes.txt", "mine");
  const auto before = Tree(root_);
  const Words commands[] = {
      Collect("mine"),
      Collect("mine/"),
      Collect("recording"),
      Collect("file"),
      Collect("."),
      Agent("replay"),
      Agent("replay") + Words{"--force"},
      Agent("config"),
      Agent("json"),
      Agent("file"),
      {"run", kDebugConfig, "--out", "config"},
      {"run", kDebugConfig, "--out", "report"},
      {"run", kDebugConfig, "--out", "json", "--force"},
      {"run", kDebugConfig, "--out", "stage", "--force"},
      {"run", kDebugConfig, "--out", "file"},
      {"export", run_, "--out", "mine"},
      {"dream", run_, "--out", "mine/thesis.tex"},
      {"eval", "--policy", "random", "--game", "catch", "--json", "mine/thesis.tex"},
      {"eval", "--policy", "random", "--game", "catch", "--json", "mine"},
      {"bench", "--quick", "--json", "mine/thesis.tex"},
  };
  for (const Words& command : commands) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(command) << "\n" << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr("error: "));
  }
  EXPECT_EQ(Tree(root_), before);
}

TEST_F(FaultsOfFiles, ARefusedCallLeavesNoTrace) {
  const auto agent = [](const Words& more) { return Words{"agent", "--out", "deep/P"} + more; };
  const auto run = [](const Words& more) {
    return Words{"run", kDebugConfig, "--out", "deep/R"} + more;
  };
  const Words commands[] = {
      agent({"--game", "nosuchgame"}),
      agent({"--game", "catch", "--set", "device=cuda"}),
      agent({"--set", "precision=f17"}),
      agent({"--set", "polici.gamma=1"}),
      agent({"--game", "catch", "--steps", "1000000000"}),  // 4 TB
      agent({"--preset", "tpu"}),
      run({"--set", "games=nosuchgame"}),
      run({"--set", "device=cuda"}),
      run({"--set", "collect.policy=nobody"}),
      run({"--set", "collect.steps=1000000000"}),
      run({"--set", "encoder.lr=fast"}),
      {"train", "encoder", "deep/R", "--config", kDebugConfig},  // nothing was collected
      {"train", "encoder", "deep/R"},
      Collect("deep/c", {"--game", "nosuchgame"}),
      Collect("deep/c", {"--policy", "nobody"}),
      Collect("deep/c", {"--seed", "-5"}),
      {"collect", "--game", "nosuchgame", "--out", "deep/c"},
      {"eval", "--policy", "random", "--game", "nosuchgame", "--json", "deep/x.json"},
      {"eval", "deep/nothing", "--json", "deep/x.json"},
      {"dream", "deep/nothing", "--out", "deep/x.webp"},
      {"export", "deep/nothing", "--out", "deep/x.safetensors"},
      {"import", "deep/nothing.npz", "--out", "deep/x"},
      {"report", "deep/nothing"},
      {"probe", "deep/nothing"},
      {"evaluate", "deep/nothing"},
  };
  for (const Words& command : commands) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(command) << "\n" << outcome.text;
  }
  EXPECT_TRUE(fs::is_empty(root_)) << ::testing::PrintToString(Tree(root_));
}

TEST_F(FaultsOfFiles, ForceTouchesNothingBeforeAllIsValid) {
  const fs::path run = Copy(run_), agent = Copy(agent_);
  const auto before = Tree(root_);
  for (const char* wrong :
       {"games=cacth", "device=cuda", "collect.policy=nobody", "collect.steps=1000000000",
        "world_model.widht=3", "encoder.lr=fast", "world_model.heads=3"}) {
    const Outcome outcome = RunProgram(
        {"run", kDebugConfig, "--out", run, "--force", "--set", "seed=2", "--set", wrong});
    EXPECT_EQ(outcome.code, 2) << wrong << outcome.text;
  }
  for (const char* wrong : {"game=cacth", "device=cuda", "steps=1000000000", "policy.gamma=2"}) {
    const Outcome outcome =
        RunProgram(Agent(agent) + Words{"--force", "--set", "seed=2", "--set", wrong});
    EXPECT_EQ(outcome.code, 2) << wrong << outcome.text;
  }
  // A stage whose predecessors would have to be done anew first.
  EXPECT_EQ(RunProgram({"train", "world-model", run, "--force", "--set", "encoder.epochs=3"}).code,
            2);
  EXPECT_EQ(Tree(root_), before);
}

TEST_F(FaultsOfFiles, ForceKeepsTheOldResultUntilTheNewOneStands) {
  const fs::path run = Copy(run_);
  const Words command = {"run",   kDebugConfig,        "--out", run, "--force",
                         "--set", "encoder.epochs=300"};
  Program program(command, root_ / "log");
  for (int i = 0; i < 1000 && !Begun(run, "encoder"); ++i) {
    ASSERT_FALSE(program.WaitFor(0.02)) << program.Wait().text;
  }
  program.Signal(SIGINT);
  const Outcome interrupted = program.Wait();
  EXPECT_EQ(interrupted.code, 130) << interrupted.text;
  EXPECT_THAT(interrupted.text, HasSubstr("is kept in " + (run / "before").string()));
  for (const char* file : {"encoder/model.safetensors", "world_model/model.safetensors",
                           "policy/catch/model.safetensors", "config.yaml"}) {
    EXPECT_TRUE(ReadFile(run / "before" / file) == ReadFile(run_ / file)) << file;
  }
  // Another attempt does not lose it either; one that ends well makes room.
  WriteFileAtomically(run / "before9/thesis.txt", "mine");
  const Outcome done =
      RunProgram({"run", kDebugConfig, "--out", run, "--force", "--set", "encoder.epochs=3"});
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_FALSE(fs::exists(run / "before"));
  EXPECT_FALSE(fs::exists(run / "before2"));
  EXPECT_TRUE(fs::exists(run / "before9/thesis.txt"));
}

TEST_F(FaultsOfFiles, ForceKeepsTheOldAgentUntilTheNewOneStands) {
  const fs::path run = Copy(agent_);
  const Words command =
      Agent(run) + Words{"--force", "--set", "seed=2", "--set", "checkpoint_seconds=0"};
  Program program(command, root_ / "log");
  for (int i = 0; i < 1000 && !Begun(run, "agent"); ++i) {
    ASSERT_FALSE(program.WaitFor(0.02)) << program.Wait().text;
  }
  program.Signal(SIGKILL);
  program.Wait();
  for (const char* file : {"agent/model.safetensors", "replay/stream_00.frames"}) {
    EXPECT_TRUE(ReadFile(run / "before" / file) == ReadFile(agent_ / file)) << file;
  }
  const Outcome done = RunProgram(command);
  EXPECT_EQ(done.code, 0) << done.text;
  EXPECT_FALSE(fs::exists(run / "before"));
  EXPECT_FALSE(ReadFile(run / "agent/model.safetensors") ==
               ReadFile(agent_ / "agent/model.safetensors"));
}

TEST_F(FaultsOfFiles, OutputIsCheckedBeforeTheWork) {
  for (const char* path : {"/proc/x/y", "/dev/null/x.json", "sub/"}) {
    const Outcome eval = RunProgram(
        {"eval", "--policy", "random", "--game", "catch", "--episodes", "1000000", "--json", path});
    EXPECT_EQ(eval.code, 2) << eval.text;
    EXPECT_THAT(eval.text, HasSubstr("error: cannot "));
    EXPECT_THAT(eval.text, Not(HasSubstr("games")));
  }
  const std::string path = "/proc/x/y";
  EXPECT_EQ(RunProgram({"bench", "--seconds", "3600", "--json", path}).code, 2);
  EXPECT_EQ(RunProgram({"dream", run_, "--out", "/proc/x/y.webp"}).code, 2);
  EXPECT_EQ(RunProgram({"export", run_, "--out", "/proc/x/y.safetensors"}).code, 2);
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(FaultsOfFiles, ResultsArePrintedEvenWhereTheFileCannotBeWrittenInTheEnd) {
  // There while the output is checked, gone before it is written.
  fs::create_directories("out");
  Program program({"eval", "--policy", "random", "--game", "catch", "--episodes", "3000", "--json",
                   "out/x.json"},
                  root_ / "log");
  while (!program.WaitFor(0.02) && ReadFile("log").find("playing") == std::string::npos) {
  }
  program.Signal(SIGSTOP);
  fs::remove_all("out");
  WriteFileAtomically("out", "a file");
  program.Signal(SIGCONT);
  const Outcome outcome = program.Wait();
  EXPECT_EQ(outcome.code, 2) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("3000 games by random"));
  EXPECT_THAT(outcome.text, HasSubstr("error: "));
}

TEST_F(FaultsOfFiles, SpecialFilesAreWrittenToAndNeverReplaced) {
  const std::string program = std::string("'") + HID_PROGRAM + "' ";
  const std::string eval = program + "eval --policy random --game catch --episodes 2 --json ";
  for (const char* out : {"-", "/dev/stdout"}) {
    ASSERT_EQ(std::system((eval + out + " >json 2>words").c_str()), 0);
    EXPECT_EQ(nlohmann::json::parse(ReadFile("json"))["count"], 2);
    EXPECT_THAT(ReadFile("words"), HasSubstr("2 games by random"));
  }
  ASSERT_EQ(std::system((program + "export '" + run_.string() + "' --out - >x 2>words").c_str()),
            0);
  ASSERT_EQ(std::system((program + "export '" + run_.string() + "' --out y.safetensors").c_str()),
            0);
  EXPECT_TRUE(ReadFile("x") == ReadFile("y.safetensors"));
  ASSERT_EQ(std::system((program + "dream '" + run_.string() + "' --out - >x 2>words").c_str()), 0);
  EXPECT_EQ(ReadFile("x").substr(0, 4), "RIFF");

  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  std::string got;
  std::thread reader([&] { got = ReadFile("pipe"); });
  const Outcome outcome = RunProgram(
      {"eval", "--policy", "random", "--game", "catch", "--episodes", "2", "--json", "pipe"});
  if (outcome.code != 0) {
    std::ofstream("pipe") << "";  // or the reader waits for ever
  }
  reader.join();
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_EQ(nlohmann::json::parse(got)["count"], 2);
  EXPECT_TRUE(fs::is_fifo("pipe"));
}

TEST_F(FaultsOfFiles, NumbersMeanWhatTheySayInDecimal) {
  const auto store = [&](const Words& more) {
    const Outcome outcome = RunProgram(Collect("c", more));
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    return Tree("c");
  };
  const Words game = {"--game", "catch"};
  const auto ten = store({"--seed", "10"});
  EXPECT_EQ(store({"--seed", "010"}), ten);
  EXPECT_EQ(store({"--seed", "1e1"}), ten);
  EXPECT_NE(store({"--seed", "8"}), ten);
  const Outcome steps = RunProgram(
      {"collect", "--game", "catch", "--steps", "1.2e2", "--threads", "01", "--out", "d"});
  EXPECT_THAT(steps.text, HasSubstr("d: 120 steps"));
  const Words refused[] = {
      Collect("e", {"--seed", "-5"}),
      Collect("e", {"--seed", "0x10"}),
      Collect("e", {"--environments", "1.5"}),
      Collect("e", {"--environments", "-1"}),
      {"collect", "--game", "catch", "--steps", "1_000", "--out", "e"},
      {"eval", "--policy", "random", "--game", "catch", "--seed", "-5"},
      {"eval", "--policy", "random", "--game", "catch", "--seed", "18446744073709551616"},
      {"eval", "--policy", "random", "--game", "catch", "--episodes", "two"},
      {"dream", run_, "--seed", "-1", "--out", "e.webp"},
      {"agent", "--game", "catch", "--seed", "-5", "--out", "e"},
      {"agent", "--game", "catch", "--set", "seed=-5", "--out", "e"},
      {"run", kDebugConfig, "--set", "seed=0x10", "--out", "e"},
      {"evaluate", agent_, "--temperature", "nan"},
      {"evaluate", agent_, "--held-out", "none", "--fit", "none"},
      {"evaluate", agent_, "--held-out", "none"},
      {"bench", "--seconds", "nan"},
      {"play", agent_, "--port", "-1"},
  };
  for (const Words& command : refused) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(command) << "\n" << outcome.text;
  }
  EXPECT_FALSE(fs::exists("e"));
  EXPECT_THAT(RunProgram({"agent", "--defaults", "--seed", "010", "--set", "steps=1e5"}).text,
              ::testing::AllOf(HasSubstr("\nseed: 10\n"), HasSubstr("\nsteps: 100000\n")));
}

TEST_F(FaultsOfFiles, TheRunIsTheArgumentAndTheGameIsItsOwn) {
  const fs::path run = Copy(run_);
  const Words commands[] = {
      {"report", run},
      {"report", "--run", run},
      {"probe", run},
      {"evaluate", run},
      {"dream", run, "--out", "a.webp"},
      {"dream", run, "--out", "b.png", "--context", "3"},
      {"dream", "--run", run, "--game", "catch", "--out", "c.webp", "--steps", "2"},
      {"eval", run, "--episodes", "1"},
      {"eval", "--run", run, "--game", "catch", "--episodes", "1"},
      {"eval", agent_, "--episodes", "1"},
      {"export", run, "--out", "x.safetensors"},
      {"train", "policy", run},
      {"train", "encoder", "--run", run},
      {"tokenize", run},
  };
  for (const Words& command : commands) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.code, 0) << ::testing::PrintToString(command) << "\n" << outcome.text;
  }
  // What was given and cannot work stays an error.
  EXPECT_EQ(RunProgram({"dream", run, "--out", "d.webp", "--context", "16"}).code, 2);
  // What is missing is said.
  fs::remove_all(run / "policy");
  const Outcome none = RunProgram({"eval", run});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.text, HasSubstr("holds no trained policy yet"));
  EXPECT_THAT(none.text, HasSubstr("hint: train one"));
  for (const char* game : {"pong", "breakout"}) {
    WriteFileAtomically(run / "policy" / game / "model.safetensors", "x");
  }
  const Outcome several = RunProgram({"eval", run});
  EXPECT_EQ(several.code, 2);
  EXPECT_THAT(several.text, HasSubstr("more than one trained policy: breakout, pong"));
  EXPECT_THAT(RunProgram({"eval", root_}).text, HasSubstr("is not a run directory"));
  EXPECT_EQ(RunProgram({"eval"}).code, 2);
  EXPECT_EQ(RunProgram({"eval", run, "--policy", "random"}).code, 2);
}

}  // namespace
}  // namespace hidreamer::integration
