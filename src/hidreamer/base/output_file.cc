#include "hidreamer/base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/numbers.h"

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

constexpr const char* kOtherFile = "name another file";
constexpr size_t kSafetensorsLength = 8;  // bytes before the header's {

const char* NameOf(FileKind kind) {
  switch (kind) {
    case FileKind::kJson:
      return "JSON";
    case FileKind::kPng:
      return "PNG";
    case FileKind::kWebp:
      return "WebP";
    case FileKind::kSafetensors:
      return "safetensors";
  }
  return "";
}

bool LooksLike(FileKind kind, std::string_view start) {
  switch (kind) {
    case FileKind::kJson: {
      const size_t first = start.find_first_not_of(" \t\r\n");
      return first != std::string_view::npos && (start[first] == '{' || start[first] == '[');
    }
    case FileKind::kPng:
      return start.starts_with("\x89PNG");
    case FileKind::kWebp:
      return start.starts_with("RIFF") && start.substr(4).find("WEBP") == 4;
    case FileKind::kSafetensors:
      return start.size() > kSafetensorsLength && start[kSafetensorsLength] == '{';
  }
  return false;
}

// The descriptor behind /dev/stdout, /dev/fd/3, /proc/self/fd/3 or a link to one of these.
std::optional<int> OpenDescriptor(fs::path path) {
  constexpr int kMostLinks = 40;
  std::error_code code;
  const fs::path descriptors = fs::canonical("/proc/self/fd", code);
  for (int links = 0; links < kMostLinks && path.has_filename(); ++links) {
    const fs::path parent = fs::weakly_canonical(fs::absolute(path, code).parent_path(), code);
    if (parent == descriptors) {
      const auto number = ParseWhole(path.filename().string());
      return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
    }
    if (!fs::is_symlink(path, code)) {
      return std::nullopt;
    }
    path = parent / fs::read_symlink(path, code);
  }
  return std::nullopt;
}

Error CannotWrite(const fs::path& path, int error) {
  return UserError(error == ENOSPC ? "is the disk full?" : kOtherFile, "cannot write {}: {}",
                   path.string(), std::strerror(error));
}

void WriteAll(int file, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) {
      throw CannotWrite(path, errno);
    }
    bytes.remove_prefix(n < 0 ? 0 : static_cast<size_t>(n));
  }
}

class OpenFile {
 public:
  explicit OpenFile(int file) : file_(file) {}
  ~OpenFile() { ::close(file_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return file_; }

 private:
  int file_;
};

void WriteSpecial(const fs::path& path, std::string_view bytes) {
  std::fflush(stdout);
  if (const auto descriptor = OpenDescriptor(path)) {
    return WriteAll(*descriptor, bytes, path);
  }
  int file = -1;
  while ((file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC)) < 0) {
    if (errno == EINTR && InterruptRequested()) {  // nobody reads the pipe
      throw Interrupted();
    }
    if (errno != EINTR) {
      throw CannotWrite(path, errno);
    }
  }
  const OpenFile open(file);
  WriteAll(file, bytes, path);
}

// Under a name that was free, so that it is nobody's file which is written and renamed.
void WriteBeside(const fs::path& path, std::string_view bytes) {
  fs::path partial;
  int file = -1;
  for (int attempt = 0; file < 0; ++attempt) {
    partial = path.string() + fmt::format(".{}-{}.partial", ::getpid(), attempt);
    file = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0 && errno != EEXIST) {
      throw CannotWrite(path, errno);
    }
  }
  const OpenFile open(file);
  try {
    WriteAll(file, bytes, path);
    if (::fsync(file) != 0) {
      throw CannotWrite(path, errno);
    }
    Rename(partial, path);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
}

}  // namespace

bool IsSpecialFile(const fs::path& path) {
  std::error_code code;
  return OpenDescriptor(path).has_value() || fs::is_other(fs::status(path, code));
}

bool IsStandardOutput(const fs::path& path) { return OpenDescriptor(path) == STDOUT_FILENO; }

void CheckOutputFile(const fs::path& path, FileKind kind) {
  if (const auto descriptor = OpenDescriptor(path)) {
    const int flags = ::fcntl(*descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
      throw CannotWrite(path, EBADF);
    }
    return;
  }
  const fs::path real = RealPath(path);
  std::error_code code;
  const fs::file_status status = fs::status(real, code);
  if (fs::is_directory(status) || (!path.empty() && !path.has_filename())) {
    throw UserError(kOtherFile, "cannot write {}: it is a directory", path.string());
  }
  if (fs::exists(status) && ::access(real.c_str(), W_OK) != 0) {
    throw CannotWrite(path, errno);
  }
  if (fs::is_other(status)) {
    return;
  }
  if (fs::is_regular_file(status)) {
    char start[16] = {};
    std::ifstream in(real, std::ios::binary);
    in.read(start, sizeof(start));
    const auto count = static_cast<size_t>(in.gcount());
    if (count > 0 && !LooksLike(kind, {start, count})) {
      throw UserError("name another file, or remove it first",
                      "{} is there and no {} file: it is not replaced", path.string(),
                      NameOf(kind));
    }
  }
  CheckWritableDirectory(real.parent_path());
}

void WriteOutputFile(const fs::path& path, FileKind kind, std::string_view bytes) {
  CheckOutputFile(path, kind);
  if (IsSpecialFile(path)) {
    return WriteSpecial(path, bytes);
  }
  const fs::path real = RealPath(path);
  EnsureWritableDirectory(real.parent_path());
  WriteBeside(real, bytes);
}

}  // namespace hidreamer
