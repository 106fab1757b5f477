#include "hidreamer/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

void CreateDirectories(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) {
    throw UserError("choose a directory you may write to", "cannot create directory {}: {}",
                    path.string(), code.message());
  }
}

}  // namespace

fs::path InstalledData(const fs::path& name) {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  return program.parent_path().parent_path() / "share" / "hidreamer" / name;
}

void FlushToDisk(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    throw UserError("", "cannot open {}: {}", path.string(), std::strerror(errno));
  }
  const int result = ::fsync(file);
  const int error = errno;
  ::close(file);
  // Some file systems refuse fsync on directories (EINVAL); the rename below is still atomic there.
  if (result != 0 && error != EINVAL) {
    throw UserError("is the disk full?", "cannot flush {}: {}", path.string(),
                    std::strerror(error));
  }
}

void WriteFileAtomically(const fs::path& path, std::string_view bytes) {
  if (path.has_parent_path()) {
    CreateDirectories(path.parent_path());
  }
  fs::path partial = path;
  partial += ".partial";
  const int file = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) {
    throw UserError("choose a directory you may write to", "cannot write {}: {}", path.string(),
                    std::strerror(errno));
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      const int error = errno;
      ::close(file);
      throw UserError("is the disk full?", "cannot write {}: {}", path.string(),
                      std::strerror(error));
    }
    done += static_cast<size_t>(n);
  }
  const int flushed = ::fsync(file);
  const int error = errno;
  ::close(file);
  if (flushed != 0) {
    throw UserError("is the disk full?", "cannot flush {}: {}", path.string(),
                    std::strerror(error));
  }
  Rename(partial, path);
  if (path.has_parent_path()) {
    FlushToDisk(path.parent_path());
  }
}

std::string ReadFile(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) {
    throw UserError("", "{} is a directory, not a file", path.string());
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    throw UserError("", "cannot read {}: {}", path.string(), std::strerror(errno));
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void EnsureWritableDirectory(const fs::path& path) {
  CreateDirectories(RealPath(path));
  if (::access(path.c_str(), W_OK | X_OK) != 0) {
    throw UserError("choose a directory you may write to", "cannot write in {}: {}", path.string(),
                    std::strerror(errno));
  }
}

void CheckWritableDirectory(const fs::path& path) {
  const fs::path directory = RealPath(path);
  const MadeDirectories made(directory);
  // Permissions alone do not tell: the disk may be read-only, or no disk at all (/proc).
  std::string trial = (directory / ".hidreamer-XXXXXX").string();
  const int file = ::mkostemp(trial.data(), O_CLOEXEC);
  if (file < 0) {
    throw UserError("choose a directory you may write to", "cannot write in {}: {}", path.string(),
                    std::strerror(errno));
  }
  ::close(file);
  ::unlink(trial.c_str());
}

void CheckFreeSpace(const fs::path& path, double bytes) {
  fs::path there = RealPath(path);
  std::error_code code;
  while (!fs::exists(there, code) && there.has_relative_path()) {
    there = there.parent_path();
  }
  const fs::space_info space = fs::space(there, code);
  if (!code && static_cast<double>(space.available) < bytes) {
    throw UserError("free some, or choose a directory on another disk",
                    "{} needs {:.1f} GB or more, but {:.1f} GB are free", path.string(),
                    bytes / 1e9, static_cast<double>(space.available) / 1e9);
  }
}

fs::path RealPath(const fs::path& path) {
  constexpr int kMostLinks = 40;
  if (path.empty()) {
    throw UserError("name a file or a directory", "a path is empty");
  }
  std::error_code code;
  fs::path real = fs::absolute(path, code);
  for (int links = 0; links < kMostLinks && !code; ++links) {
    real = fs::weakly_canonical(real, code);
    if (!real.has_filename() && real.has_relative_path()) {
      real = real.parent_path();
    }
    if (code || !fs::is_symlink(real, code)) {  // still a link: it leads to what is not there yet
      break;
    }
    real = real.parent_path() / fs::read_symlink(real, code);
  }
  if (code && code != std::errc::no_such_file_or_directory) {
    throw UserError("", "cannot follow {}: {}", path.string(), code.message());
  }
  return real;
}

void Rename(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::rename(from, to, code);
  if (code) {
    throw UserError("", "cannot rename {} to {}: {}", from.string(), to.string(), code.message());
  }
}

MadeDirectories::MadeDirectories(const fs::path& path) {
  std::error_code code;
  for (fs::path missing = RealPath(path); !fs::exists(missing, code) && missing.has_relative_path();
       missing = missing.parent_path()) {
    made_.insert(made_.begin(), missing);
  }
  try {
    CreateDirectories(RealPath(path));
  } catch (...) {
    RemoveEmpty();
    throw;
  }
}

MadeDirectories::~MadeDirectories() { RemoveEmpty(); }

void MadeDirectories::RemoveEmpty() {
  for (auto directory = made_.rbegin(); directory != made_.rend(); ++directory) {
    ::rmdir(directory->c_str());
  }
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    throw UserError("", "cannot read {}: {}", path.string(), std::strerror(errno));
  }
  struct stat status = {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    throw UserError("", "{} is not a regular file", path.string());
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
      const int error = errno;
      ::close(file);
      throw UserError("", "cannot map {}: {}", path.string(), std::strerror(error));
    }
    data_ = static_cast<const char*>(mapped);
  }
  ::close(file);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<char*>(data_), size_);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace hidreamer
