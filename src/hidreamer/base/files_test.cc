#include "hidreamer/base/files.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace {
namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::path(testing::TempDir()) /
        ("hid_files_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(FilesTest, WritesReadsAndReplacesWhole) {
  const fs::path path = root_ / "a/b.txt";
  WriteFileAtomically(path, "one");
  WriteFileAtomically(path, "two");
  EXPECT_EQ(ReadFile(path), "two");
  EXPECT_FALSE(fs::exists(path.string() + ".partial"));
}

TEST_F(FilesTest, MissingAndForeignPathsAreUserErrors) {
  const auto kind = [](auto&& f) {
    try {
      f();
    } catch (const Error& e) {
      return e.kind() == Error::Kind::kUser;
    }
    return false;
  };
  EXPECT_TRUE(kind([&] { ReadFile(root_ / "none"); }));
  EXPECT_TRUE(kind([&] { ReadFile(root_); }));
  EXPECT_TRUE(kind([&] { MappedFile(root_ / "none"); }));
  EXPECT_TRUE(kind([&] { MappedFile{root_}; }));
  EXPECT_TRUE(kind([&] { EnsureWritableDirectory("/proc/none"); }));
  EXPECT_TRUE(kind([&] { CheckWritableDirectory("/proc/none"); }));
  EXPECT_TRUE(kind([&] { CheckWritableDirectory("/proc"); }));
  EXPECT_TRUE(kind([&] { WriteFileAtomically("/proc/none/x", ""); }));
}

TEST_F(FilesTest, PathsAsPeopleTypeThemMeanTheSamePlace) {
  fs::create_directories(root_ / "a b/c");
  fs::create_directory_symlink(root_ / "a b/c", root_ / "link");
  fs::create_directory_symlink("link", root_ / "chain");
  fs::create_directory_symlink(root_ / "later", root_ / "dangling");
  const fs::path c = fs::canonical(root_ / "a b/c"), root = fs::canonical(root_);
  for (const char* typed : {"a b/c", "a b/c/", "a b/c/.", "a b/./c//", "a b/c/../c", "link",
                            "link/", "chain/", "link/../c"}) {
    EXPECT_EQ(RealPath(root_ / typed), c) << typed;
  }
  for (const char* typed :
       {"later", "later/", "later/.", "a b/../later", "dangling", "dangling/"}) {
    EXPECT_EQ(RealPath(root_ / typed), root / "later") << typed;
  }
  EXPECT_EQ(RealPath("new/x/"), fs::canonical(fs::current_path()) / "new/x");
  EXPECT_EQ(RealPath("."), fs::canonical(fs::current_path()));
  EXPECT_THROW(RealPath(""), Error);
}

TEST_F(FilesTest, CheckingADirectoryLeavesNoTrace) {
  CheckWritableDirectory(root_ / "x/y/z/");
  EXPECT_FALSE(fs::exists(root_ / "x"));
  { const MadeDirectories made(root_ / "x/y/z"); }
  EXPECT_FALSE(fs::exists(root_ / "x"));
  {
    const MadeDirectories made(root_ / "x/y/z");
    WriteFileAtomically(root_ / "x/y/file", "1");
  }
  EXPECT_TRUE(fs::exists(root_ / "x/y/file"));
  EXPECT_FALSE(fs::exists(root_ / "x/y/z"));
}

TEST_F(FilesTest, TooLittleSpaceIsSaidBeforehand) {
  EXPECT_NO_THROW(CheckFreeSpace(root_ / "not/there/yet", 1));
  EXPECT_THROW(CheckFreeSpace(root_ / "not/there/yet", 1e30), Error);
}

TEST_F(FilesTest, MapsBytes) {
  WriteFileAtomically(root_ / "m", "mapped");
  WriteFileAtomically(root_ / "empty", "");
  EXPECT_EQ(MappedFile(root_ / "m").bytes(), "mapped");
  EXPECT_EQ(MappedFile(root_ / "empty").bytes(), "");
}

}  // namespace
}  // namespace hidreamer
