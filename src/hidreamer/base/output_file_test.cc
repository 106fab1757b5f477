#include "hidreamer/base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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
  for (const char* text : {"{}", "[1]", ""}) {
    WriteOutputFile(root_ / "a/b.json", FileKind::kJson, text);
    EXPECT_EQ(ReadFile(root_ / "a/b.json"), text);
  }
  WriteOutputFile(root_ / "a/b.json", FileKind::kJson, "{}");  // over an empty one
  EXPECT_EQ(Count(), 1u);
}

TEST_F(OutputFileTest, ALinkIsFollowed) {
  WriteFileAtomically(root_ / "real", "{}");
  fs::create_symlink("real", root_ / "link");
  fs::create_symlink("later", root_ / "dangling");
  WriteOutputFile(root_ / "link", FileKind::kJson, "{1}");
  WriteOutputFile(root_ / "dangling", FileKind::kJson, "{2}");
  EXPECT_EQ(ReadFile(root_ / "real"), "{1}");
  EXPECT_EQ(ReadFile(root_ / "later"), "{2}");
  EXPECT_TRUE(fs::is_symlink(root_ / "link"));
}

TEST_F(OutputFileTest, SomebodysFilesAreNotReplaced) {
  WriteFileAtomically(root_ / "thesis.txt", "Chapter 1");
  WriteFileAtomically(root_ / "x.json.partial", "mine");
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
  EXPECT_EQ(got, "{}");
  EXPECT_TRUE(fs::is_fifo(pipe));
  WriteOutputFile("/dev/null", FileKind::kPng, "x");
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
  EXPECT_EQ(ReadFile(path), "before {}{}");
  EXPECT_TRUE(IsStandardOutput("/dev/stdout"));
  EXPECT_FALSE(IsStandardOutput(path));
}

}  // namespace
}  // namespace hidreamer
