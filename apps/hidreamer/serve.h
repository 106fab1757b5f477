#pragma once

#include <sys/types.h>

#include <filesystem>

namespace hidreamer::app {

// hidreamer serve RUN as a process of its own, of low priority, for as long as this object lives:
// whatever becomes of it, the training beside it goes on.
class PageBeside {
 public:
  explicit PageBeside(const std::filesystem::path& run);
  ~PageBeside();
  PageBeside(const PageBeside&) = delete;
  PageBeside& operator=(const PageBeside&) = delete;

 private:
  pid_t process_ = -1;
};

}  // namespace hidreamer::app
