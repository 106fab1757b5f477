#pragma once

#include <filesystem>

namespace hidreamer {

// A path for files that nobody needs afterwards: what lies there is removed at the start and at the
// end of its life. Does not create the directory.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::filesystem::path path);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hidreamer
