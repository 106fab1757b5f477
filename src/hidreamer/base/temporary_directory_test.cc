#include "hidreamer/base/temporary_directory.h"

#include <gtest/gtest.h>

#include "hidreamer/base/files.h"

namespace hidreamer {
namespace {
namespace fs = std::filesystem;

TEST(TemporaryDirectory, RemovesWhatWasThereAndWhatWasPutThere) {
  const fs::path path = fs::path(testing::TempDir()) / "hid_temporary";
  WriteFileAtomically(path / "old", "1");
  {
    const TemporaryDirectory directory(path);
    EXPECT_FALSE(fs::exists(path));
    WriteFileAtomically(directory.path() / "new", "2");
    EXPECT_TRUE(fs::exists(path / "new"));
  }
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace hidreamer
