#include "hidreamer/base/temporary_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

constexpr const char* kMark = ".hidreamer-temporary";

fs::path CheckIsOurs(fs::path path) {
  std::error_code code;
  if (fs::exists(path, code) && !fs::exists(path / kMark, code) && !fs::is_empty(path, code)) {
    throw UserError("move it away, or name another directory",
                    "{} is in the way: it was not made by this program, or by an older version",
                    path.string());
  }
  return path;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory(fs::path path, const std::function<void()>& take_over)
    : path_(CheckIsOurs(RealPath(path))), made_(path_) {
  EnsureWritableDirectory(path_);
  lock_ = ::open((path_ / kMark).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw UserError("choose a directory you may write to", "cannot write in {}", path_.string());
  }
  // Where a file system has no locks, two processes are taken to be one after the other.
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    throw UserError("wait for it, or name another directory", "another process is writing {}",
                    path_.string());
  }
  take_over();
  RemoveContent();
}

void TemporaryDirectory::RemoveContent() const {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(path_, code)) {
    if (entry.path().filename() != kMark) {
      std::error_code ignored;
      fs::remove_all(entry.path(), ignored);
    }
  }
}

TemporaryDirectory::~TemporaryDirectory() {
  if (lock_ >= 0) {
    // The mark goes last: what a process that is killed here leaves is still known as ours.
    RemoveContent();
    Keep();
    ::rmdir(path_.c_str());
  }
}

void TemporaryDirectory::Keep() {
  if (lock_ >= 0) {
    ::unlink((path_ / kMark).c_str());
    ::close(std::exchange(lock_, -1));
  }
}

}  // namespace hidreamer
