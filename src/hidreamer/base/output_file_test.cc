#include "hidreamer/base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  size_t Count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(root_), {}));
  }

  const fs::path root_ = fs::path(testing::TempDir()) / "hid_output_file";
};

TEST_F(OutputFileTest, IsMadeAndReplacesItsLike) {
  CheckOutputFile(root_ / "a/b.json", FileKind::kJson);
  EXPECT_EQ(Count(), 0u);
  for (const char* text : {"{}", "{\n \"a\": 1\n}\n"}) {
    WriteOutputFile(root_ / "a/b.json", FileKind::kJson, text);
    auto expected = nlohmann::json::parse(text);
    expected["written_by"] = "hidreamer";
    EXPECT_EQ(nlohmann::json::parse(ReadFile(root_ / "a/b.json")), expected);
  }
  WriteFileAtomically(root_ / "a/b.json", "");
  WriteOutputFile(root_ / "a/b.json", FileKind::kJson, "{}");  // over an empty one
  EXPECT_EQ(Count(), 1u);
  for (int time = 0; time < 2; ++time) {
    WriteOutputFile(root_ / "x.webp", FileKind::kWebp, "RIFF....WEBPand so on");
    WriteOutputFile(root_ / "x.png", FileKind::kPng, std::string(40, 'x'));
    WriteOutputFile(
        root_ / "x.safetensors", FileKind::kSafetensors,
        std::string("\x80\0\0\0\0\0\0\0", 8) + R"({"__metadata__":{"written_by":"hidreamer"}})");
  }
}

TEST_F(OutputFileTest, ALinkIsFollowed) {
  WriteFileAtomically(root_ / "real", "");
  fs::create_symlink("real", root_ / "link");
  fs::create_symlink("later", root_ / "dangling");
  WriteOutputFile(root_ / "link", FileKind::kJson, "{}");
  WriteOutputFile(root_ / "dangling", FileKind::kJson, "{}");
  EXPECT_THAT(ReadFile(root_ / "real"), HasSubstr("hidreamer"));
  EXPECT_THAT(ReadFile(root_ / "later"), HasSubstr("hidreamer"));
  EXPECT_TRUE(fs::is_symlink(root_ / "link"));
}

TEST_F(OutputFileTest, SomebodysFilesAreNotReplaced) {
  WriteFileAtomically(root_ / "thesis.txt", "Chapter 1");
  WriteFileAtomically(root_ / "x.json.partial", "mine");
  WriteFileAtomically(root_ / "package.json", "{\"mine\": 1}");
  WriteFileAtomically(root_ / "photo.png", "\x89PNG and more than a header of 33 bytes");
  WriteFileAtomically(root_ / "photo.webp", "RIFF....WEBPand so on");
  WriteFileAtomically(root_ / "bert.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  EXPECT_THROW(CheckOutputFile(root_ / "package.json", FileKind::kJson), Error);
  EXPECT_THROW(CheckOutputFile(root_ / "photo.png", FileKind::kPng), Error);
  EXPECT_THROW(CheckOutputFile(root_ / "photo.webp", FileKind::kWebp), Error);
  EXPECT_THROW(CheckOutputFile(root_ / "bert.safetensors", FileKind::kSafetensors), Error);
  fs::create_directories(root_ / "directory");
  for (const FileKind kind :
       {FileKind::kJson, FileKind::kPng, FileKind::kWebp, FileKind::kSafetensors}) {
    EXPECT_THROW(CheckOutputFile(root_ / "thesis.txt", kind), Error);
    EXPECT_THROW(WriteOutputFile(root_ / "thesis.txt", kind, "{}"), Error);
    EXPECT_THROW(CheckOutputFile(root_ / "directory", kind), Error);
    EXPECT_THROW(CheckOutputFile(root_ / "new/", kind), Error);
  }
  EXPECT_EQ(ReadFile(root_ / "thesis.txt"), "Chapter 1");
  WriteOutputFile(root_ / "x.json", FileKind::kJson, "{}");
  EXPECT_EQ(ReadFile(root_ / "x.json.partial"), "mine");
}

TEST_F(OutputFileTest, WhatCannotBeWrittenIsSaidBeforehand) {
  for (const char* path : {"/proc/x/y", "/proc/x", "/dev/fd/99", "", "/dev/null/x"}) {
    EXPECT_THROW(CheckOutputFile(path, FileKind::kJson), Error) << path;
  }
}

TEST_F(OutputFileTest, APipeIsWrittenToAndStaysAPipe) {
  const fs::path pipe = root_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  CheckOutputFile(pipe, FileKind::kJson);
  std::string got;
  std::thread reader([&] { got = ReadFile(pipe); });
  WriteOutputFile(pipe, FileKind::kJson, "{}");
  reader.join();
  EXPECT_EQ(nlohmann::json::parse(got).size(), 1u);
  EXPECT_TRUE(fs::is_fifo(pipe));
  WriteOutputFile("/dev/null", FileKind::kPng, std::string(40, 'x'));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(OutputFileTest, AnOpenFileIsWrittenOn) {
  const fs::path path = root_ / "opened";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0644);
  ASSERT_EQ(::write(file, "before ", 7), 7);
  for (const std::string& name :
       {"/dev/fd/" + std::to_string(file), "/proc/self/fd/" + std::to_string(file)}) {
    CheckOutputFile(name, FileKind::kJson);
    EXPECT_TRUE(IsSpecialFile(name));
    WriteOutputFile(name, FileKind::kJson, "{}");
  }
  ::close(file);
  EXPECT_THAT(ReadFile(path), testing::ContainsRegex("before .*hidreamer(.|\n)*hidreamer"));
  EXPECT_TRUE(IsStandardOutput("/dev/stdout"));
  EXPECT_FALSE(IsStandardOutput(path));
}

}  // namespace
}  // namespace hidreamer
