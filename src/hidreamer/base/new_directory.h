#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"

// The one place that decides which directories may be replaced: those that this program provably
// wrote, and that nobody put anything else into.
namespace hidreamer {

// How a directory of one kind is recognised.
struct DirectoryKind {
  std::string name;                                 // "a recording", for messages
  std::string manifest;                             // the file that is always in it
  std::function<bool(const std::string&)> is_ours;  // judges the manifest's text
  std::vector<std::string> files;                   // what else may lie in it
};

// Throws a user Error unless the path is free: missing, an empty directory, or a directory of this
// kind with nothing else in it.
void CheckReplaceable(const std::filesystem::path& path, const DirectoryKind& kind);

// A directory in the making. It is filled out of sight, beside its place, and put there whole: a
// crash leaves what was there, or the new one.
class NewDirectory {
 public:
  // Before the work: throws a user Error if the place is not free (CheckReplaceable), cannot be
  // written, or if another process is making the same directory.
  NewDirectory(const std::filesystem::path& path, DirectoryKind kind);

  // Empty at first.
  const std::filesystem::path& path() const { return content_; }

  // Flushes it to disk and puts it in its place. If that fails, a user Error says where it is.
  void Publish();

 private:
  std::filesystem::path target_;
  DirectoryKind kind_;
  TemporaryDirectory work_;
  std::filesystem::path content_, old_;
};

}  // namespace hidreamer
