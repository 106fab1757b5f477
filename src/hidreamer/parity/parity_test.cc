#include "hidreamer/parity/parity.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::parity {
namespace {

const std::filesystem::path kRecording = std::filesystem::path(HID_GOLDEN_DIR) / "parity";

class Parity : public testing::TestWithParam<std::string> {};

TEST_P(Parity, ReproducesEveryRecordedOutput) {
  const std::vector<ParityRow> rows = CheckComponent(kRecording, GetParam());
  EXPECT_FALSE(rows.empty());
  for (const ParityRow& row : rows) {
    EXPECT_TRUE(row.pass) << row.component << " " << row.output << ": difference "
                          << row.max_difference << ", allowed " << row.tolerance << " " << row.note;
  }
}

INSTANTIATE_TEST_SUITE_P(Components, Parity, testing::ValuesIn(CheckedComponents()),
                         [](const auto& information) { return information.param; });

// A recording of one component with one exact, one tolerated and one informative output.
class ParityFramework : public testing::Test {
 protected:
  ParityFramework() : directory_(std::filesystem::path(testing::TempDir()) / "recording") {
    const nlohmann::json outputs = {{"valid_starts", {{"exact", true}}},
                                    {"close", {{"abs_tol", 0.1}, {"compare_with", "close_f64"}}},
                                    {"margin", {{"informative", true}}}};
    const nlohmann::json component = {{"config", {{"seq_len", 2}}},
                                      {"files", {"window_index.io.safetensors"}},
                                      {"outputs", outputs}};
    WriteFileAtomically(directory_ / "parity.json",
                        nlohmann::json({{"components", {{"window_index", component}}}}).dump());
    formats::SaveSafetensors(directory_ / "window_index.io.safetensors",
                             {{"dones", torch::tensor({0, 0, 1}, torch::kUInt8)},
                              {"valid_starts", torch::tensor({0, 1}, torch::kInt64)},
                              {"close_f64", torch::tensor({1.0, 2.0}, torch::kFloat64)},
                              {"margin", torch::tensor({5.0})}});
  }
  std::filesystem::path directory_;
};

TEST_F(ParityFramework, HoldsOutputsAgainstTheirTolerance) {
  const ParityComponent component(directory_, "window_index");
  EXPECT_TRUE(component.Compare("close", torch::tensor({1.05F, 2.0F})).pass);
  const ParityRow off = component.Compare("close", torch::tensor({1.2F, 2.0F}));
  EXPECT_FALSE(off.pass);
  EXPECT_NEAR(off.max_difference, 0.2, 1e-6);
  EXPECT_FALSE(component.Compare("close", torch::tensor({std::nanf(""), 2.0F})).pass);
  EXPECT_FALSE(component.Compare("close", torch::tensor({1.0F})).pass);
  EXPECT_FALSE(component.Compare("valid_starts", torch::tensor({0, 2}, torch::kInt64)).pass);
  EXPECT_TRUE(component.Compare("margin", torch::tensor({7.0F})).pass);
}

TEST_F(ParityFramework, AnOutputNobodyComputesFails) {
  for (const ParityRow& row : CheckComponent(directory_, "window_index")) {
    EXPECT_EQ(row.pass, row.output != "close") << row.output;
  }
}

TEST_F(ParityFramework, DamagedRecordingsAreUserErrors) {
  const auto expect_user_error = [&] {
    try {
      CheckAll(directory_);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUser);
    }
  };
  EXPECT_THROW(ParityComponent(directory_, "encoder"), Error);
  std::filesystem::remove(directory_ / "window_index.io.safetensors");
  expect_user_error();
  WriteFileAtomically(directory_ / "parity.json", "{");
  expect_user_error();
  std::filesystem::remove(directory_ / "parity.json");
  expect_user_error();
}

}  // namespace
}  // namespace hidreamer::parity
