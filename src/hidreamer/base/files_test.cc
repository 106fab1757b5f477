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

TEST_F(FilesTest, DirectoryIsReplacedWholeAndSurvivesACrashBetweenRenames) {
  const fs::path path = root_ / "checkpoint";
  WriteDirectoryAtomically(path, [](const fs::path& d) { WriteFileAtomically(d / "x", "1"); });
  fs::rename(path, path.string() + ".old");  // as a crash between the two renames leaves it
  EXPECT_THROW(
      WriteDirectoryAtomically(path, [](const fs::path&) { throw std::runtime_error("full"); }),
      std::runtime_error);
  EXPECT_EQ(ReadFile(path / "x"), "1");
  WriteDirectoryAtomically(path, [](const fs::path& d) { WriteFileAtomically(d / "x", "2"); });
  EXPECT_EQ(ReadFile(path / "x"), "2");
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
  EXPECT_TRUE(kind([&] { WriteFileAtomically("/proc/none/x", ""); }));
}

TEST_F(FilesTest, MapsBytes) {
  WriteFileAtomically(root_ / "m", "mapped");
  WriteFileAtomically(root_ / "empty", "");
  EXPECT_EQ(MappedFile(root_ / "m").bytes(), "mapped");
  EXPECT_EQ(MappedFile(root_ / "empty").bytes(), "");
}

}  // namespace
}  // namespace hidreamer
