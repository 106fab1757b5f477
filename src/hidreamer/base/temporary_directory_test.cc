#include "hidreamer/base/temporary_directory.h"

#include <gtest/gtest.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer {
namespace {
namespace fs = std::filesystem;

class TemporaryDirectoryTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(root_); }
  void TearDown() override { fs::remove_all(root_); }

  const fs::path root_ = fs::path(testing::TempDir()) / "hid_temporary";
  const fs::path path_ = root_ / "made/too/x";
};

TEST_F(TemporaryDirectoryTest, IsRemovedWithAllThatWasMadeForIt) {
  {
    const TemporaryDirectory directory(path_);
    WriteFileAtomically(directory.path() / "new", "2");
    EXPECT_TRUE(fs::exists(path_ / "new"));
  }
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(TemporaryDirectoryTest, WhatAKilledProcessLeftIsTakenOver) {
  {
    const TemporaryDirectory directory(path_);
    WriteFileAtomically(path_ / "half", "1");
    fs::copy(path_, root_ / "copy", fs::copy_options::recursive);  // as after a kill
  }
  const TemporaryDirectory directory(root_ / "copy");
  EXPECT_FALSE(fs::exists(root_ / "copy/half"));
}

TEST_F(TemporaryDirectoryTest, SomebodysFilesAreNotTouched) {
  WriteFileAtomically(path_ / "thesis", "1");
  EXPECT_THROW(TemporaryDirectory{path_}, Error);
  EXPECT_EQ(ReadFile(path_ / "thesis"), "1");
}

TEST_F(TemporaryDirectoryTest, IsUsedByOneAtATime) {
  const TemporaryDirectory directory(path_);
  WriteFileAtomically(path_ / "mine", "1");
  EXPECT_THROW(TemporaryDirectory{path_}, Error);
  EXPECT_TRUE(fs::exists(path_ / "mine"));
}

}  // namespace
}  // namespace hidreamer
