// Agents that are published, and the tables of what agents score, as a user makes and takes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/base/files.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::vector<std::string> kTiny = {"steps=640",           "threads=1",
                                        "collect.prefill=256", "collect.steps_per_update=64",
                                        "evaluation.times=1",  "evaluation.episodes=0",
                                        "tokenizer.batch=8",   "world_model.batch=4",
                                        "policy.batch=8",      "policy.start_after=2"};

class Models : public ProgramTest {};

TEST_F(Models, AnAgentIsScoredPublishedAndTakenByItsName) {
  const fs::path run = root_ / "run", scores = root_ / "results/catch-test-5.json";
  std::vector<std::string> command = {"agent", "--preset", "test", "--seed", "5", "--out", run};
  for (const std::string& setting : kTiny) {
    command.insert(command.end(), {"--set", setting});
  }
  ASSERT_EQ(RunProgram(command).code, 0);
  fs::create_directory(root_ / "results");
  ASSERT_EQ(RunProgram({"eval", run, "--episodes", "4", "--json", scores}).code, 0);
  const Outcome table = RunProgram({"results", root_ / "results", "--html", root_ / "r.html"});
  EXPECT_EQ(table.code, 0) << table.text;
  EXPECT_THAT(table.text, HasSubstr("| catch | test, collect.prefill=256"));
  EXPECT_THAT(ReadFile(root_ / "r.html"), HasSubstr("</html>"));

  const Outcome packed =
      RunProgram({"export", run, "--model", root_ / "models/mine", "--scores", scores});
  ASSERT_EQ(packed.code, 0) << packed.text;
  ::setenv("HIDREAMER_MODELS", (root_ / "models").c_str(), 1);
  const Outcome eval =
      RunProgram({"eval", "mine", "--episodes", "4", "--json", root_ / "again.json"});
  EXPECT_EQ(eval.code, 0) << eval.text;
  const auto again = nlohmann::json::parse(ReadFile(root_ / "again.json"));
  EXPECT_EQ(again["trained"]["seed"], 5);
  const Outcome dream = RunProgram({"dream", "mine", "--steps", "5", "--out", root_ / "dream.png"});
  EXPECT_EQ(dream.code, 0) << dream.text;
  const Outcome page = RunProgram({"export", "mine", "--html", root_ / "dream.html"});
  EXPECT_EQ(page.code, 0) << page.text;
  EXPECT_THAT(ReadFile(root_ / "dream.html"), HasSubstr("\"score_games\":4"));
  const Outcome unknown = RunProgram({"eval", "yours", "--episodes", "4"});
  ::unsetenv("HIDREAMER_MODELS");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("there is no run directory yours"));
}

TEST_F(Models, ATableOfSeveralAgentsGoesOnWhereItStopped) {
  std::string command = fs::path(HID_SOURCE_DIR) / "scripts/gpu-table";
  command += " " + (root_ / "table").string() +
             " --preset test --games catch --seeds 1 2 --jobs 2 --episodes 2 --program " HID_PROGRAM
             " --set";
  for (const std::string& setting : kTiny) {
    command += " " + setting;
  }
  const auto exit_code = [](const std::string& line) {
    return WEXITSTATUS(std::system((line + " >/dev/null").c_str()));
  };
  EXPECT_EQ(exit_code(command + " --minutes 0.02"), 130);
  EXPECT_EQ(exit_code(command), 0);
  for (const char* seed : {"1", "2"}) {
    EXPECT_TRUE(
        fs::exists(root_ / "table/results" / ("catch-test-" + std::string(seed) + ".json")));
  }
}

// Weights that play as their model.json says: the median of six games lies between the tenth and
// the ninetieth of the hundred published ones. Not their mean: where a processor rounds otherwise,
// Breakout's ball once got behind the wall, which is worth 261 points.
TEST_F(Models, ThoseInTheRepositoryPlayAsTheySay) {
  const fs::path models = fs::path(HID_SOURCE_DIR) / "models";
  if (!fs::exists(models)) {
    GTEST_SKIP() << "no models are here";
  }
  for (const auto& entry : fs::directory_iterator(models)) {
    const fs::path description = entry.path() / "model.json";
    if (!fs::exists(description)) {
      continue;
    }
    const auto model = nlohmann::json::parse(ReadFile(description));
    const auto& scored = model["scored"];
    const std::string name = entry.path().filename();
    const Outcome eval = RunProgram(
        {"eval", name, "--episodes", "6", "--seed", "99", "--json", root_ / (name + ".json")});
    ASSERT_EQ(eval.code, 0) << eval.text;
    const auto played = nlohmann::json::parse(ReadFile(root_ / (name + ".json")));
    std::vector<double> published;
    for (const auto& game : scored["episodes"]) {
      published.push_back(game["score"]);
    }
    std::sort(published.begin(), published.end());
    const size_t tenth = published.size() / 10;
    EXPECT_GE(played["median"].get<double>(), published[tenth]) << name;
    EXPECT_LE(played["median"].get<double>(), published[published.size() - tenth]) << name;
    EXPECT_LE(fs::file_size(entry.path() / "agent/model.safetensors"), 6'000'000) << name;
  }
}

}  // namespace
}  // namespace hidreamer::integration
