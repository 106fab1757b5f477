#include "hidreamer/formats/pytorch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/pickle.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::formats {
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

// A new file each time: some file systems flush one that is written anew.
void Write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
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
class SavedTensors : public testing::TestWithParam<std::string> {};

TEST_P(SavedTensors, ReadsWhatTorchSaved) {
  ExpectEqual(LoadPytorchFile(kFixtures / (GetParam() + ".pt")).tensors,
              LoadSafetensors(kFixtures / (GetParam() + ".safetensors")).tensors);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, SavedTensors,
                         testing::Values("state_dict", "checkpoint", "types", "strided",
                                         "old_types", "old_strided"));

TEST(PytorchFile, FindsTheModelOfATrainingCheckpoint) {
  const TensorMap file = WithoutWrappers(LoadPytorchFile(kFixtures / "checkpoint.pt").tensors);
  EXPECT_THAT(PrefixesOf(file, {"0.weight", "1.bias"}), testing::ElementsAre("model_state_dict."));
  ExpectEqual(WithoutPrefix(file, "model_state_dict."),
              LoadPytorchFile(kFixtures / "state_dict.pt").tensors);
}

TEST(PytorchFile, StripsWrappersOfParallelAveragedAndCompiledModels) {
  const torch::Tensor one = torch::ones({1});
  const TensorMap file = WithoutWrappers({{"state_dict.module._orig_mod.w", one},
                                          {"state_dict.n_averaged", one},
                                          {"module.layer.module.w", one}});
  EXPECT_THAT(file,
              testing::ElementsAre(testing::Key("layer.w"), testing::Key("state_dict.n_averaged"),
                                   testing::Key("state_dict.w")));
  const TensorMap clash = {{"module.w", one}, {"w", one}};
  EXPECT_THAT(WithoutWrappers(clash), testing::SizeIs(2));
}

TEST(PytorchFile, PutsAModelsOwnWeightsBeforeOthers) {
  const torch::Tensor one = torch::ones({1});
  const TensorMap file = {
      {"a.w", one}, {"a.b", one}, {"model_state_dict.w", one}, {"model_state_dict.b", one},
      {"xw", one},  {"c.w", one}};
  EXPECT_THAT(PrefixesOf(file, {"w", "b"}), testing::ElementsAre("model_state_dict.", "a."));
}

TEST(PytorchFile, PassesOverOtherObjectsAndRunsNothing) {
  EXPECT_THAT(LoadPytorchFile(kFixtures / "malicious.pt").tensors,
              testing::ElementsAre(testing::Key("w")));
  EXPECT_FALSE(std::filesystem::exists("/tmp/hidreamer-executed-a-pickle"));
  for (const char* name : {"with_numpy", "with_namespace"}) {
    const PytorchFile file = LoadPytorchFile(kFixtures / (std::string(name) + ".pt"));
    EXPECT_THAT(file.tensors, testing::ElementsAre(testing::Key("weights.w"))) << name;
  }
}

TEST(PytorchFile, NamesAWholeModuleAsItsStateDict) {
  for (const char* name : {"module", "old_module"}) {
    EXPECT_THAT(LoadPytorchFile(kFixtures / (std::string(name) + ".pt")).tensors,
                testing::ElementsAre(testing::Key("bias"), testing::Key("weight")))
        << name;
  }
  const TensorMap nested = LoadPytorchFile(kFixtures / "nested_module.pt").tensors;
  ExpectEqual(WithoutWrappers(nested),
              LoadSafetensors(kFixtures / "nested_module.safetensors").tensors);
}

TEST(PytorchFile, SaysWhichTensorsItPassesOver) {
  const PytorchFile file = LoadPytorchFile(kFixtures / "odd_tensors.pt");
  EXPECT_THAT(file.tensors, testing::ElementsAre(testing::Key("w")));
  EXPECT_THAT(file.unread, testing::UnorderedElementsAre(
                               testing::Pair("complex", HasSubstr("ComplexFloatStorage")),
                               testing::Pair("sparse", HasSubstr("sparse")),
                               testing::Pair("quantized", HasSubstr("q"))));
}

// The end of a zip file only repeats what its directory says: without it the file may still be
// read, but then it is whole.
TEST(PytorchFile, ATruncatedFileIsAUserErrorOrWhole) {
  const auto path = std::filesystem::path(testing::TempDir()) / "cut.pt";
  constexpr size_t kEndRecords = 98;  // zip64 end record, its locator, end record
  for (const auto& [name, spare] :
       {std::pair("types.pt", kEndRecords), std::pair("old_types.pt", size_t{0})}) {
    const TensorMap expected = LoadPytorchFile(kFixtures / name).tensors;
    const std::string whole = ReadFile(kFixtures / name);
    for (size_t size = 0; size < whole.size(); size += 13) {
      Write(path, whole.substr(0, size));
      if (size + spare < whole.size()) {
        EXPECT_NE(UserErrorOf(path), "") << name << size;
      } else if (UserErrorOf(path).empty()) {
        ExpectEqual(LoadPytorchFile(path).tensors, expected);
      }
    }
  }
}

TEST(PytorchFile, DamagedBytesNeverCrash) {
  const auto path = std::filesystem::path(testing::TempDir()) / "damaged.pt";
  for (const char* name : {"types.pt", "old_types.pt", "nested_module.pt", "odd_tensors.pt"}) {
    const std::string whole = ReadFile(kFixtures / name);
    int refused = 0;
    for (size_t at = 0; at < whole.size(); at += 7) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      Write(path, damaged);
      refused += UserErrorOf(path) != "" ? 1 : 0;
    }
    EXPECT_GT(refused, 0) << name;
  }
}

TEST(PytorchFile, ForeignFilesAreUserErrors) {
  EXPECT_NE(UserErrorOf(kFixtures / "nowhere.pt"), "");
  EXPECT_NE(UserErrorOf(kFixtures / "types.safetensors"), "");
  EXPECT_NE(UserErrorOf(kFixtures), "");
  const auto path = std::filesystem::path(testing::TempDir()) / "pointer.pt";
  WriteFileAtomically(path, "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(UserErrorOf(path), HasSubstr("Git LFS"));
}

TEST(PytorchFile, NamesAFileOfAnotherKind) {
  using namespace std::string_literals;
  const auto path = std::filesystem::path(testing::TempDir()) / "other.pt";
  const std::pair<std::string, std::string> kinds[] = {
      {"", "empty"},
      {"\x89HDF\r\n", "HDF5"},
      {"\x93NUMPY\1\0"s, "NumPy array"},
      {"\x1f\x8b", "gzip"},
      {"<html>", "web page"},
      {"\x80\x02}.", "not one of torch.save"},
      {std::string(257, '\0') + "ustar", "tar archive"},
  };
  for (const auto& [bytes, what] : kinds) {
    Write(path, bytes);
    EXPECT_THAT(UserErrorOf(path), HasSubstr(what));
  }
  EXPECT_THAT(UserErrorOf(kFixtures / "types.safetensors"), HasSubstr("a safetensors file"));
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
                               "Q.",
                               "(X\7\0\0\0storageNNNNtQ.",
                               "]NNs.",
                               "\x8a\xff",
                               "X\xff\xff\xff\xff",
                               "Nb.",
                               "Ix\n.",
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

// A list that holds itself, lists of lists that double, and lists nested without end.
TEST(PytorchFile, CirclesAndDeepNestingEnd) {
  const auto path = std::filesystem::path(testing::TempDir()) / "nested.pt";
  const std::string whole = ReadFile(kFixtures / "old_types.pt");
  const std::string before = whole.substr(0, whole.find("\x80\x02"
                                                        "ccollections"));
  std::string doubling = "]";
  for (int i = 0; i < 60; ++i) {
    doubling += "2\x86";
  }
  const std::string deep = std::string(100'000, ']') + std::string(99'999, 'a');
  for (const std::string& object : {std::string("]q\1h\1a"), doubling, deep}) {
    Write(path, before + object + ".].");
    EXPECT_EQ(UserErrorOf(path), "");
    EXPECT_THAT(LoadPytorchFile(path).tensors, testing::IsEmpty());
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
}  // namespace hidreamer::formats
