#include "hidreamer/formats/safetensors.h"

#include <gtest/gtest.h>

#include <fstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::formats {
namespace {

std::filesystem::path TestFile(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / ("safetensors_" + name);
}

// A file with the given header text and data.
std::string FileBytes(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
}

void ExpectUserError(const std::string& bytes, const std::string& what) {
  const auto path = TestFile("bad");
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    LoadSafetensors(path);
    ADD_FAILURE() << "loaded: " << what;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser) << what;
  }
}

TEST(Safetensors, KeepsEveryTypeShapeAndMetadata) {
  TensorMap tensors;
  const torch::Tensor ramp = torch::arange(-6, 6).reshape({3, 4});
  for (const auto type :
       {torch::kFloat64, torch::kFloat32, torch::kFloat16, torch::kBFloat16, torch::kInt64,
        torch::kInt32, torch::kInt16, torch::kInt8, torch::kUInt8, torch::kBool}) {
    tensors[toString(type)] = (type == torch::kUInt8 ? ramp.abs() : ramp).to(type);
  }
  tensors["scalar"] = torch::tensor(2.5);
  tensors["empty"] = torch::zeros({0, 5});
  const auto path = TestFile("types");
  SaveSafetensors(path, tensors, {{"note", "täglich"}});
  const SafetensorsFile loaded = LoadSafetensors(path);
  ASSERT_EQ(loaded.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor& read = loaded.tensors.at(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(read, tensor)) << name;
  }
  EXPECT_EQ(loaded.metadata.at("note"), "täglich");
}

TEST(Safetensors, WritesViewsAsTheirOwnElements) {
  const torch::Tensor whole = torch::arange(12).reshape({3, 4});
  const auto path = TestFile("views");
  SaveSafetensors(path, {{"transposed", whole.t()}, {"row", whole[1]}});
  const SafetensorsFile loaded = LoadSafetensors(path);
  EXPECT_TRUE(torch::equal(loaded.tensors.at("transposed"), whole.t()));
  EXPECT_TRUE(torch::equal(loaded.tensors.at("row"), whole[1]));
}

TEST(Safetensors, EqualContentsGiveEqualBytes) {
  const auto a = TestFile("a"), b = TestFile("b");
  SaveSafetensors(a, {{"x", torch::ones({2})}, {"y", torch::zeros({3})}}, {{"k", "v"}});
  SaveSafetensors(b, {{"y", torch::zeros({3})}, {"x", torch::ones({2})}}, {{"k", "v"}});
  EXPECT_EQ(ReadFile(a), ReadFile(b));
}

TEST(Safetensors, ReadsAFileWrittenElsewhere) {
  const float data[2] = {1.5F, -2.0F};
  const auto path = TestFile("foreign");
  WriteFileAtomically(path,
                      FileBytes(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )",
                                std::string(reinterpret_cast<const char*>(data), sizeof data)));
  EXPECT_TRUE(torch::equal(LoadSafetensors(path).tensors.at("w"), torch::tensor({1.5F, -2.0F})));
}

TEST(Safetensors, DamagedFilesAreUserErrors) {
  const std::string data(8, '\1');
  ExpectUserError("", "empty file");
  ExpectUserError("abc", "three bytes");
  ExpectUserError(std::string(8, '\xff'), "huge header length");
  ExpectUserError(FileBytes("not json", ""), "no JSON");
  ExpectUserError(FileBytes("[1]", ""), "a list");
  ExpectUserError(FileBytes(R"({"w":3})", data), "entry is a number");
  ExpectUserError(FileBytes(R"({"w":{"dtype":"F32"}})", data), "no shape");
  const auto with = [&](const std::string& entry) {
    return FileBytes("{\"w\":" + entry + "}", data);
  };
  ExpectUserError(with(R"({"dtype":"F31","shape":[2],"data_offsets":[0,9]})"), "unknown type");
  ExpectUserError(with(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "other shape");
  ExpectUserError(with(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"), "past the end");
  ExpectUserError(with(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "backwards");
  ExpectUserError(with(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "negative size");
  ExpectUserError(with(R"({"dtype":"F32","shape":[4611686018427387905,2],"data_offsets":[0,8]})"),
                  "overflowing shape");
  ExpectUserError(with(R"({"dtype":"F32","shape":"x","data_offsets":[0,8]})"), "text as shape");
  ExpectUserError(with(R"({"dtype":"BOOL","shape":[8],"data_offsets":[0,8]})").replace(70, 1, "\7"),
                  "a boolean of 7");
}

TEST(Safetensors, PassesOverTensorsOfTypesThatAreNotRead) {
  const auto path = TestFile("types");
  WriteFileAtomically(path,
                      FileBytes(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},)"
                                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},)"
                                R"("c":{"dtype":"U16","shape":[1],"data_offsets":[6,8]}})",
                                std::string(8, '\1')));
  const SafetensorsFile file = LoadSafetensors(path);
  EXPECT_TRUE(torch::equal(file.tensors.at("b"), torch::ones({2}, torch::kUInt8)));
  EXPECT_EQ(file.tensors.size(), 1U);
  EXPECT_EQ(file.unread, (std::map<std::string, std::string>{{"a", "F8_E4M3"}, {"c", "U16"}}));
}

TEST(Safetensors, EveryTruncationIsAUserError) {
  const auto path = TestFile("whole");
  SaveSafetensors(path, {{"x", torch::ones({3})}, {"y", torch::zeros({2})}});
  const std::string whole = ReadFile(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    ExpectUserError(whole.substr(0, size), std::to_string(size));
  }
}

TEST(Safetensors, AMissingFileIsAUserError) {
  EXPECT_THROW(LoadSafetensors(TestFile("nowhere")), Error);
}

}  // namespace
}  // namespace hidreamer::formats
