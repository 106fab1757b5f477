#include "hidreamer/base/new_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

const DirectoryKind kAlbum = {.name = "an album",
                              .manifest = "album",
                              .is_ours = [](const std::string& text) { return text == "ours"; },
                              .files = {"picture"}};

class NewDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root_);
    fs::create_directories(root_);
    before_ = fs::current_path();
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(root_);
  }

  static void Make(const fs::path& path, const std::string& picture) {
    NewDirectory album(path, kAlbum);
    WriteFileAtomically(album.path() / "picture", picture);
    WriteFileAtomically(album.path() / "album", "ours");
    album.Publish();
  }

  // All files below the root with their text.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      files[fs::relative(entry.path(), root_)] = entry.is_regular_file() ? ReadFile(entry) : "";
    }
    return files;
  }

  const fs::path root_ = fs::path(testing::TempDir()) / "hid_new_directory";
  fs::path before_;
};

TEST_F(NewDirectoryTest, AppearsWholeAndReplacesOneOfItsKind) {
  Make(root_ / "a", "1");
  Make(root_ / "a", "2");
  const std::map<std::string, std::string> expected = {
      {"a", ""}, {"a/album", "ours"}, {"a/picture", "2"}};
  EXPECT_EQ(Files(), expected);
  { NewDirectory unfinished(root_ / "a", kAlbum); }
  EXPECT_EQ(Files(), expected);
}

TEST_F(NewDirectoryTest, IsPutWhereThePathLeads) {
  fs::create_directories(root_ / "b c");
  fs::create_directory_symlink("b c", root_ / "link");
  fs::current_path(root_ / "b c");
  for (const char* typed : {"./one/", "../b c/two/.", "../link/three", "four//"}) {
    Make(typed, "1");
  }
  for (const char* name : {"one", "two", "three", "four"}) {
    EXPECT_EQ(ReadFile(root_ / "b c" / name / "picture"), "1") << name;
  }
  fs::create_directory_symlink("b c/one", root_ / "to_one");
  Make(root_ / "to_one", "2");
  EXPECT_EQ(ReadFile(root_ / "b c/one/picture"), "2");
  EXPECT_TRUE(fs::is_symlink(root_ / "to_one"));
}

TEST_F(NewDirectoryTest, TheCurrentDirectoryStaysTheSameOne) {
  fs::create_directories(root_ / "here");
  fs::current_path(root_ / "here");
  Make(".", "1");
  Make(".", "2");
  EXPECT_EQ(ReadFile("picture"), "2");  // found from where we are, not from above
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(NewDirectoryTest, SomebodysFilesAreRefusedBeforeTheWork) {
  Make(root_ / "mixed", "1");
  WriteFileAtomically(root_ / "mixed/notes", "mine");
  Make(root_ / "nested", "1");
  fs::create_directories(root_ / "nested/inner");
  WriteFileAtomically(root_ / "alike/album", "somebody's");
  WriteFileAtomically(root_ / "only/picture", "mine");
  WriteFileAtomically(root_ / "file", "mine");
  Make(root_ / "blocked", "1");
  WriteFileAtomically(root_ / "blocked.partial/x", "mine");
  const auto before = Files();
  for (const char* name : {"mixed", "nested", "alike", "only", "file", "blocked"}) {
    EXPECT_THROW(NewDirectory(root_ / name, kAlbum), Error) << name;
  }
  EXPECT_EQ(Files(), before);
  EXPECT_THAT([&] { CheckReplaceable(root_ / "mixed", kAlbum); },
              ThrowsMessage<Error>(HasSubstr("holds notes, which is no part of an album")));
}

TEST_F(NewDirectoryTest, WhatComesMeanwhileIsNotReplacedAndTheNewOneIsKept) {
  NewDirectory album(root_ / "a", kAlbum);
  WriteFileAtomically(album.path() / "album", "ours");
  WriteFileAtomically(root_ / "a/thesis", "mine");
  EXPECT_THAT(
      [&] { album.Publish(); },
      ThrowsMessage<Error>(HasSubstr("the new one is complete in " + album.path().string())));
  EXPECT_EQ(ReadFile(root_ / "a/thesis"), "mine");
}

TEST_F(NewDirectoryTest, ACrashBetweenTheRenamesLosesNothing) {
  Make(root_ / "a", "1");
  {
    NewDirectory album(root_ / "a", kAlbum);
    fs::rename(root_ / "a", album.path().parent_path() / "old");
    fs::copy(root_ / "a.partial", root_ / "crashed.partial", fs::copy_options::recursive);
  }
  { NewDirectory next(root_ / "crashed", kAlbum); }
  EXPECT_EQ(ReadFile(root_ / "crashed/picture"), "1");
}

TEST_F(NewDirectoryTest, OneProcessAtATime) {
  NewDirectory album(root_ / "a", kAlbum);
  EXPECT_THROW(NewDirectory(root_ / "a/", kAlbum), Error);
}

}  // namespace
}  // namespace hidreamer
