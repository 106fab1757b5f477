// Recordings and weights from elsewhere: what is odd is named before anything is written, and what
// was imported is a finished stage of its run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "hidreamer/base/files.h"
#include "hidreamer/data/test_npz.h"
#include "hidreamer/formats/safetensors.h"
#include "program.h"

namespace hidreamer::integration {
namespace {

namespace fs = std::filesystem;
using data::Items;
using data::Npy;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kDebugConfig = std::string(HID_SOURCE_DIR) + "/configs/debug.yaml";
const fs::path kRecording = fs::path(HID_GOLDEN_DIR) / "parity";

// Episodes of these lengths, stacked as a gymnasium wrapper stacks them, for a game of `actions`.
data::Arrays Episodes(const std::vector<int>& lengths, int actions = 3) {
  std::string states;
  std::vector<int64_t> chosen;
  std::vector<float> rewards;
  std::vector<uint8_t> dones;
  int64_t row = 0;
  for (const int length : lengths) {
    for (int t = 0; t < length; ++t) {
      for (int back = 3; back >= 0; --back) {
        const auto frame = data::TestFrame(row + std::max(t - back, 0));
        states.append(frame.begin(), frame.end());
      }
      chosen.push_back((row + t) % actions);
      rewards.push_back(static_cast<float>((row + t) % 3) - 1);
      dones.push_back(t + 1 == length ? 1 : 0);
    }
    row += length;
  }
  const std::string rows = std::to_string(row);
  return {{"states", Npy("|u1", "(" + rows + ", 4, 84, 84)", states)},
          {"actions", Npy("<i8", "(" + rows + ",)", Items(chosen))},
          {"rewards", Npy("<f4", "(" + rows + ",)", Items(rewards))},
          {"dones", Npy("|b1", "(" + rows + ",)", Items(dones))}};
}

nlohmann::json StageOf(const fs::path& folder) {
  return nlohmann::json::parse(ReadFile(folder / "stage.json"));
}

class Import : public ProgramTest {
 protected:
  fs::path Npz(const std::string& name, const data::Arrays& arrays) const {
    const fs::path path = root_ / name;
    fs::rename(data::WriteNpz("import.npz", arrays, 1), path);
    return path;
  }
};

TEST_F(Import, RefusesARewardThatIsNoNumberAndWritesNothing) {
  data::Arrays arrays = Episodes({20});
  std::vector<double> rewards(20, 0);
  rewards[7] = 1e39;
  arrays[2].second = Npy("<f8", "(20,)", Items(rewards));
  const fs::path out = root_ / "run" / "data" / "catch";
  const Outcome outcome = RunProgram({"import", Npz("huge.npz", arrays), "--out", out});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("row 7 of 'rewards' is 1e+39"));
  EXPECT_FALSE(fs::exists(root_ / "run"));
}

TEST_F(Import, ChecksActionsAgainstTheGameOfTheFolder) {
  const fs::path npz = Npz("many.npz", Episodes({20}, 18));
  const fs::path out = root_ / "run" / "data" / "catch";
  const Outcome refused = RunProgram({"import", npz, "--out", out});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.text, HasSubstr("row 3 of 'actions'"));
  EXPECT_THAT(refused.text, HasSubstr("catch has 3 actions: 0 STAY, 1 LEFT, 2 RIGHT"));
  EXPECT_FALSE(fs::exists(out));
  std::string pairs;
  for (int id = 0; id < 18; ++id) {
    pairs += std::to_string(id) + "=" + std::to_string(id % 3) + ",";
  }
  const Outcome mapped = RunProgram({"import", npz, "--out", out, "--actions", pairs});
  EXPECT_EQ(mapped.code, 0) << mapped.text;
  EXPECT_EQ(data::EpisodeStore(out).actions()[17], 17 % 3);
}

TEST_F(Import, ARecordingOfAnotherGameIsRefusedBeforeAnyTraining) {
  const fs::path npz = Npz("many.npz", Episodes({20}, 18));
  ASSERT_EQ(RunProgram({"import", npz, "--out", root_ / "foreign"}).code, 0);
  const fs::path run = root_ / "run";
  fs::create_directories(run / "data");
  fs::rename(root_ / "foreign", run / "data" / "catch");
  const Outcome outcome = RunProgram({"run", kDebugConfig, "--out", run});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("is a recording of 'unknown'"));
  EXPECT_FALSE(fs::exists(run / "encoder"));
}

// A run whose recording and then whose models came from elsewhere.
TEST_F(Import, WhatIsImportedIsAFinishedStageOfItsRun) {
  const fs::path npz = Npz("TEN.NPZ", Episodes({60, 5, 60, 5, 60, 5, 60, 5, 60, 60}));
  const fs::path first = root_ / "first", second = root_ / "second";
  for (const fs::path& run : {first, second}) {
    const Outcome imported =
        RunProgram({"import", npz, "--out", (run / "data/catch").string() + "/"});
    ASSERT_EQ(imported.code, 0) << imported.text;
    EXPECT_THAT(imported.text, HasSubstr("380 steps of catch in 10 episodes"));
  }
  const Outcome whole = RunProgram({"run", kDebugConfig, "--out", first});
  ASSERT_EQ(whole.code, 0) << whole.text;
  EXPECT_THAT(whole.text, HasSubstr("world_model leaves out 4 of 10 episodes of catch"));
  EXPECT_TRUE(fs::exists(first / "policy/catch/model.safetensors"));
  EXPECT_EQ(StageOf(first / "data/catch")["imported"]["file"], "TEN.NPZ");

  // Weights trained here are not replaced by an import.
  const std::string trained = ReadFile(first / "encoder/model.safetensors");
  const fs::path golden = kRecording / "encoder.weights.safetensors";
  const Outcome over = RunProgram({"import", golden, "--out", first / "encoder"});
  EXPECT_EQ(over.code, 2);
  EXPECT_EQ(ReadFile(first / "encoder/model.safetensors"), trained);

  std::map<std::string, std::string> imported;
  for (const char* stage : {"encoder", "tokenizer", "world_model"}) {
    const Outcome outcome = RunProgram(
        {"import", first / stage / "model.safetensors", "--out", second / stage, "--heads", "2"});
    ASSERT_EQ(outcome.code, 0) << outcome.text;
    imported[stage] = ReadFile(second / stage / "model.safetensors");
  }
  const Outcome other_width =
      RunProgram({"run", kDebugConfig, "--out", second, "--set", "world_model.width=64"});
  EXPECT_EQ(other_width.code, 2);
  EXPECT_THAT(other_width.text, HasSubstr("has world_model.width = 32, the configuration 64"));
  EXPECT_FALSE(fs::exists(second / "embeddings"));

  const Outcome resumed = RunProgram({"run", kDebugConfig, "--out", second});
  ASSERT_EQ(resumed.code, 0) << resumed.text;
  for (const auto& [stage, bytes] : imported) {
    EXPECT_TRUE(ReadFile(second / stage / "model.safetensors") == bytes) << stage;
    EXPECT_TRUE(StageOf(second / stage).contains("imported")) << stage;
    EXPECT_THAT(resumed.text, HasSubstr(stage + ": imported from model.safetensors"));
  }
  EXPECT_EQ(ReadFile(second / "tokens/catch.safetensors"),
            ReadFile(first / "tokens/catch.safetensors"));

  // Another encoder: what was made with the old one is not taken for its own.
  ASSERT_EQ(RunProgram({"import", golden, "--out", second / "encoder"}).code, 0);
  const Outcome stale = RunProgram({"run", kDebugConfig, "--out", second});
  EXPECT_EQ(stale.code, 2);
  EXPECT_THAT(stale.text, HasSubstr("imported.encoder"));
}

TEST_F(Import, FindsWeightsOfAnAveragedModelBesideOtherTensors) {
  formats::TensorMap weights;
  for (const auto& [name, tensor] :
       formats::LoadSafetensors(kRecording / "encoder.weights.safetensors").tensors) {
    weights["model_state_dict.module." + name] = tensor;
    weights["ema." + name] = tensor + 1;
  }
  weights["model_state_dict.n_averaged"] = torch::tensor(5);
  weights["losses"] = torch::zeros({3});
  formats::SaveSafetensors(root_ / "averaged.safetensors", weights);
  const Outcome outcome =
      RunProgram({"import", root_ / "averaged.safetensors", "--out", root_ / "encoder"});
  ASSERT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("taken: encoder at 'model_state_dict.'"));
  const formats::TensorMap taken =
      formats::LoadSafetensors(root_ / "encoder/model.safetensors").tensors;
  EXPECT_TRUE(torch::equal(taken.at("encoder.0.bias"),
                           weights.at("model_state_dict.module.encoder.0.bias").to(torch::kFloat)));
  ASSERT_EQ(RunProgram({"import", root_ / "averaged.safetensors", "--out", root_ / "other",
                        "--prefix", "ema"})
                .code,
            0);
  const Outcome wrong_folder =
      RunProgram({"import", root_ / "averaged.safetensors", "--out", root_ / "tokenizer"});
  EXPECT_EQ(wrong_folder.code, 2);
  EXPECT_THAT(wrong_folder.text, HasSubstr("is the folder of a tokenizer"));
}

TEST_F(Import, RefusesWeightsThatAreNotFinite) {
  formats::TensorMap weights =
      formats::LoadSafetensors(kRecording / "encoder.weights.safetensors").tensors;
  weights["encoder.2.bias"][1] = std::nan("");
  formats::SaveSafetensors(root_ / "nan.safetensors", weights);
  const Outcome outcome =
      RunProgram({"import", root_ / "nan.safetensors", "--out", root_ / "encoder"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("encoder.2.bias holds numbers that are not finite"));
  EXPECT_FALSE(fs::exists(root_ / "encoder"));
}

// The file with another type for one of its tensors.
std::string WithType(const fs::path& file, const std::string& tensor, const std::string& type) {
  const std::string bytes = ReadFile(file);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  nlohmann::json header = nlohmann::json::parse(bytes.substr(sizeof length, length));
  header[tensor]["dtype"] = type;
  const std::string text = header.dump(), data = bytes.substr(sizeof length + length);
  length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

TEST_F(Import, PassesOverATensorOfAnUnknownTypeOrNamesIt) {
  formats::TensorMap weights =
      formats::LoadSafetensors(kRecording / "encoder.weights.safetensors").tensors;
  weights["scales"] = torch::ones({8}, torch::kUInt8);
  const fs::path plain = root_ / "plain.safetensors", file = root_ / "odd.safetensors";
  formats::SaveSafetensors(plain, weights);
  WriteFileAtomically(file, WithType(plain, "scales", "F8_E4M3"));
  const Outcome needless = RunProgram({"import", file, "--out", root_ / "encoder"});
  EXPECT_EQ(needless.code, 0) << needless.text;
  WriteFileAtomically(file, WithType(plain, "encoder.2.bias", "F8_E4M3"));
  const Outcome needed = RunProgram({"import", file, "--out", root_ / "other"});
  EXPECT_EQ(needed.code, 2);
  EXPECT_THAT(needed.text, HasSubstr("not read: encoder.2.bias (F8_E4M3)"));
  EXPECT_THAT(needed.text, Not(HasSubstr("corrupt")));
}

TEST_F(Import, AgentSaysWhichStepsAreNotPlayed) {
  Program program({"agent", "--game", "catch", "--steps", "100007", "--out", root_ / "agent"},
                  root_ / "log");
  const auto said = [&] {
    return fs::exists(root_ / "log") &&
           ReadFile(root_ / "log").find("of 100007 steps are played") != std::string::npos;
  };
  for (int i = 0; i < 1500 && !said() && !program.WaitFor(0.02); ++i) {
  }
  EXPECT_TRUE(said());
  program.Signal(SIGKILL);
  program.Wait();
}

}  // namespace
}  // namespace hidreamer::integration
