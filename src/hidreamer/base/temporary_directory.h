#pragma once

#include <filesystem>
#include <functional>

#include "hidreamer/base/files.h"

namespace hidreamer {

// A directory for files that nobody needs afterwards: removed at the end of its life, with the
// directories above it that it had to make and that stayed empty. A file in it marks it as ours:
// one that a killed process left is emptied and taken over, anybody else's is not touched.
class TemporaryDirectory {
 public:
  // `take_over` is called before what a killed process left is removed. Throws a user Error where
  // the path is somebody else's, cannot be written, or another process is using it.
  explicit TemporaryDirectory(
      std::filesystem::path path, const std::function<void()>& take_over = [] {});
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // It is not removed, and no longer ours.
  void Keep();

 private:
  void RemoveContent() const;

  std::filesystem::path path_;
  MadeDirectories made_;
  int lock_ = -1;
};

}  // namespace hidreamer
