// Every benchmark still runs, through the program, on tiny shapes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "hidreamer/base/files.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Bench, MeasuresEveryWork) {
  const fs::path file = fs::path(testing::TempDir()) / "hidreamer_bench.json";
  fs::remove(file);
  const Outcome outcome =
      RunProgram({"bench", "--quick", "--threads", "1", "--json", file.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.text;
  const nlohmann::json bench = nlohmann::json::parse(ReadFile(file));
  EXPECT_EQ(bench.at("threads"), 1);
  EXPECT_TRUE(bench.at("quick"));
  EXPECT_GT(bench.at("start_seconds"), 0);
  EXPECT_GT(bench.at("matmul_peak").at("f32").at("gflops"), 0);
  std::set<std::string> names;
  for (const nlohmann::json& result : bench.at("results")) {
    const std::string name = result.at("name").get<std::string>();
    names.insert(name);
    EXPECT_THAT(outcome.text, HasSubstr(name));
    if (result.contains("skipped")) {  // a build without the emulator
      EXPECT_EQ(name, "atari");
      continue;
    }
    EXPECT_GT(result.at("min"), 0) << name;
    EXPECT_LE(result.at("min"), result.at("median")) << name;
    EXPECT_LE(result.at("median"), result.at("max")) << name;
    EXPECT_GT(result.at("rate"), 0) << name;
    const bool counted = name != "atari" && name != "window_sampling";
    EXPECT_EQ(result.contains("flops"), counted) << name;
    if (counted) {
      EXPECT_GT(result.at("flops"), 0) << name;
      EXPECT_GT(result.at("share_of_peak"), 0) << name;
    }
  }
  EXPECT_EQ(names, (std::set<std::string>{"world_model_train", "world_model_forward", "imagination",
                                          "hrvq_encode", "hrvq_train", "encoder_forward",
                                          "infonce_step", "atari", "window_sampling"}));
  fs::remove(file);
}

TEST(Bench, RunsInBf16) {
  const Outcome outcome = RunProgram({"bench", "--quick", "--threads", "1", "--precision", "bf16"});
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("| bf16"));
}

TEST(Bench, RefusesWhatItDoesNotKnow) {
  const Outcome name = RunProgram({"bench", "--only", "hrvq_train,imaginatoin"});
  EXPECT_EQ(name.code, 2);
  EXPECT_THAT(name.text, HasSubstr("did you mean imagination?"));
  EXPECT_EQ(RunProgram({"bench", "--precision", "f64"}).code, 2);
}

}  // namespace
}  // namespace hidreamer::integration
