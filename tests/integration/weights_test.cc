// Weights and numbers from elsewhere: import, export and the parity check, through the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "hidreamer/base/files.h"
#include "hidreamer/formats/safetensors.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kRecording = fs::path(HID_GOLDEN_DIR) / "parity";

fs::path FreshDirectory(const std::string& name) {
  const fs::path directory = fs::path(testing::TempDir()) / ("hidreamer_weights_" + name);
  fs::remove_all(directory);
  fs::create_directories(directory);
  return directory;
}

class Weights : public testing::TestWithParam<const char*> {};

TEST_P(Weights, ComeThroughImportAndExportUnchanged) {
  const std::string component = GetParam();
  const fs::path directory = FreshDirectory(component);
  const fs::path source = kRecording / (component + ".weights.safetensors");
  const fs::path stage = directory / "stage", exported = directory / "exported.safetensors";
  const Outcome import =
      RunProgram({"import", source.string(), "--out", stage.string(), "--heads", "4"});
  ASSERT_EQ(import.code, 0) << import.text;
  const Outcome outcome = RunProgram({"export", stage.string(), "--out", exported.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.text;
  const formats::TensorMap before = formats::LoadSafetensors(source).tensors;
  const formats::TensorMap after = formats::LoadSafetensors(exported).tensors;
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, tensor] : before) {
    EXPECT_TRUE(torch::equal(after.at(name), tensor.to(torch::kFloat32))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Components, Weights, testing::Values("encoder", "hrvq", "world_model"));

TEST(Import, RefusesWhatItDoesNotKnow) {
  const fs::path directory = FreshDirectory("refused");
  const fs::path pytorch = fs::path(HID_GOLDEN_DIR) / "pytorch";
  const std::string out = (directory / "out").string();
  for (const char* name : {"state_dict.pt", "malicious.pt", "missing.pt"}) {
    const Outcome outcome = RunProgram({"import", (pytorch / name).string(), "--out", out});
    EXPECT_EQ(outcome.code, 2) << name << outcome.text;
  }
  EXPECT_FALSE(fs::exists(out));
}

TEST(Export, WritesAWholeRunAsOneFile) {
  const fs::path run = FreshDirectory("run");
  const fs::path out = run / "all.safetensors";
  formats::SaveSafetensors(run / "encoder" / "model.safetensors", {{"w", torch::ones({2})}},
                           {{"kind", "x"}});
  formats::SaveSafetensors(run / "policy" / "pong" / "model.safetensors",
                           {{"w", torch::zeros({3})}});
  formats::SaveSafetensors(run / "encoder" / "checkpoints" / "1" / "model.safetensors",
                           {{"old", torch::ones({1})}});
  ASSERT_EQ(RunProgram({"export", run.string(), "--out", out.string()}).code, 0);
  const formats::SafetensorsFile file = formats::LoadSafetensors(out);
  EXPECT_THAT(file.tensors,
              testing::ElementsAre(testing::Key("encoder.w"), testing::Key("policy/pong.w")));
  EXPECT_EQ(file.metadata.at("encoder.kind"), "x");
  EXPECT_EQ(
      RunProgram({"export", (run / "policy").string() + "/nothing", "--out", out.string()}).code,
      2);
}

TEST(Doctor, ChecksEveryRecordedNumber) {
  const Outcome outcome = RunProgram({"doctor", "--threads", "1", "--parity", kRecording.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("rollout_logits"));
  EXPECT_THAT(outcome.text, testing::Not(HasSubstr("FAILED")));
}

TEST(Doctor, FailsWhereANumberIsOff) {
  const fs::path recording = FreshDirectory("recording");
  fs::copy(kRecording / "window_index.io.safetensors", recording);
  std::string text = ReadFile(kRecording / "parity.json");
  nlohmann::json json = nlohmann::json::parse(text);
  json["components"] = {{"window_index", json["components"]["window_index"]}};
  json["components"]["window_index"]["config"]["seq_len"] = 63;
  WriteFileAtomically(recording / "parity.json", json.dump());
  const Outcome outcome = RunProgram({"doctor", "--threads", "1", "--parity", recording.string()});
  EXPECT_EQ(outcome.code, 1) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("FAILED"));
  EXPECT_EQ(RunProgram({"doctor", "--parity", "/nowhere"}).code, 2);
}

}  // namespace
}  // namespace hidreamer::integration
