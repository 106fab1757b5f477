#include "hidreamer/nn/pytorch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/nn/pickle.h"
#include "hidreamer/nn/safetensors.h"

namespace hidreamer::nn {
namespace {

using testing::HasSubstr;

const std::filesystem::path kFixtures = std::filesystem::path(HID_GOLDEN_DIR) / "pytorch";

std::string UserErrorOf(const std::filesystem::path& path) {
  try {
    LoadPytorchFile(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser) << error.what();
    return error.what();
  }
  return "";
}

void ExpectEqual(const TensorMap& actual, const TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_EQ(actual.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(actual.at(name), tensor)) << name;
  }
}

// Each .pt fixture lies beside the same tensors as safetensors (tools/export/make_fixtures.py).
class PytorchFile : public testing::TestWithParam<std::string> {};

TEST_P(PytorchFile, ReadsWhatTorchSaved) {
  ExpectEqual(LoadPytorchFile(kFixtures / (GetParam() + ".pt")),
              LoadSafetensors(kFixtures / (GetParam() + ".safetensors")).tensors);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, PytorchFile,
                         testing::Values("state_dict", "checkpoint", "types", "strided"));

TEST(PytorchFile, UnwrapsTheModelOfATrainingCheckpoint) {
  const TensorMap weights = ModelWeights(LoadPytorchFile(kFixtures / "checkpoint.pt"));
  ExpectEqual(weights, LoadPytorchFile(kFixtures / "state_dict.pt"));
}

TEST(PytorchFile, StripsWrappersOfParallelAndCompiledModels) {
  const TensorMap weights =
      ModelWeights({{"state_dict.module._orig_mod.w", torch::ones({1})},
                    {"state_dict.module._orig_mod.b", torch::ones({1})},
                    {"optimizer_state_dict.state.0.exp_avg", torch::ones({1})}});
  EXPECT_THAT(weights, testing::ElementsAre(testing::Key("b"), testing::Key("w")));
}

TEST(PytorchFile, RefusesAGlobalByNameAndRunsNothing) {
  EXPECT_THAT(UserErrorOf(kFixtures / "malicious.pt"), HasSubstr("posix system"));
  EXPECT_THAT(UserErrorOf(kFixtures / "module.pt"), HasSubstr("torch.nn.modules"));
}

// The end of a zip file only repeats what its directory says: without it the file may still be
// read, but then it is whole.
TEST(PytorchFile, ATruncatedFileIsAUserErrorOrWhole) {
  const TensorMap expected = LoadPytorchFile(kFixtures / "types.pt");
  const std::string whole = ReadFile(kFixtures / "types.pt");
  const auto path = std::filesystem::path(testing::TempDir()) / "cut.pt";
  constexpr size_t kEndRecords = 98;  // zip64 end record, its locator, end record
  for (size_t size = 0; size < whole.size(); size += 13) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, size);
    if (size + kEndRecords < whole.size()) {
      EXPECT_NE(UserErrorOf(path), "") << size;
    } else if (UserErrorOf(path).empty()) {
      ExpectEqual(LoadPytorchFile(path), expected);
    }
  }
}

TEST(PytorchFile, DamagedBytesNeverCrash) {
  const std::string whole = ReadFile(kFixtures / "types.pt");
  const auto path = std::filesystem::path(testing::TempDir()) / "damaged.pt";
  int refused = 0;
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    std::ofstream(path, std::ios::binary) << damaged;
    refused += UserErrorOf(path) != "" ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
}

TEST(PytorchFile, ForeignFilesAreUserErrors) {
  EXPECT_NE(UserErrorOf(kFixtures / "nowhere.pt"), "");
  EXPECT_NE(UserErrorOf(kFixtures / "types.safetensors"), "");
  EXPECT_NE(UserErrorOf(kFixtures), "");
  const auto path = std::filesystem::path(testing::TempDir()) / "pointer.pt";
  WriteFileAtomically(path, "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(UserErrorOf(path), HasSubstr("Git LFS"));
}

TEST(Pickle, DamagedInstructionsAreUserErrors) {
  const std::string cases[] = {"",
                               "\x80\x02",
                               "}",
                               ".",
                               "0.",
                               "(.",
                               "t.",
                               "u.",
                               "}(NuN.",
                               "h\x05.",
                               "R.",
                               ")}R.",
                               "Q.",
                               "NQ.",
                               "]NNs.",
                               "\x8a\xff",
                               "X\xff\xff\xff\xff",
                               "cos\nsystem\n.",
                               "\x80\x09."};
  for (const std::string& bytes : cases) {
    try {
      ReadPickle(bytes, "test");
      ADD_FAILURE() << testing::PrintToString(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUser);
    }
  }
}

TEST(Pickle, ReadsNumbersOfEveryWidth) {
  using namespace std::string_literals;
  const Pickle pickle = ReadPickle(
      "(K\x07M\x01\x02J\xfe\xff\xff\xff\x8a\x02\xff\xffG\x3f\xf8\0\0\0\0\0\0t."s, "test");
  std::vector<double> values;
  for (const PickleNode* item : pickle.root->items) {
    values.push_back(item->kind == PickleNode::Kind::kFloat ? item->real
                                                            : static_cast<double>(item->integer));
  }
  EXPECT_THAT(values, testing::ElementsAre(7, 513, -2, -1, 1.5));
}

}  // namespace
}  // namespace hidreamer::nn
