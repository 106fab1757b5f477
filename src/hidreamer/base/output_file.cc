#include "hidreamer/base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/numbers.h"

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

constexpr const char* kOtherFile = "name another file";
// What tells our files from other people's of the same kind.
constexpr std::string_view kJsonMark = "{\n \"written_by\": \"hidreamer\"";
constexpr std::string_view kSafetensorsMark = "\"written_by\":\"hidreamer\"";  // in the header
constexpr size_t kPngHeader = 33;  // signature and first chunk; the mark follows, with its CRC
constexpr std::string_view kPngMark("\0\0\0\x12tEXtSoftware\0hidreamer\x02\xef\x70\xcc", 30);
constexpr std::string_view kWebpMark("hidr\x0a\0\0\0hidreamer\0", 18);  // a chunk at the end
constexpr std::string_view kHtmlMark = "<meta name=\"generator\" content=\"hidreamer\">";
constexpr size_t kHtmlHead = 1024;  // within which it stands
constexpr size_t kRiffSize = 4;     // where a WebP file says how long it is, less these 8 bytes

bool IsOurs(FileKind kind, const std::string& bytes) {
  const std::string_view view = bytes;
  switch (kind) {
    case FileKind::kJson:
      return view.starts_with(kJsonMark);
    case FileKind::kPng:
      return view.size() > kPngHeader && view.substr(kPngHeader).starts_with(kPngMark);
    case FileKind::kWebp:
      return view.ends_with(kWebpMark);
    case FileKind::kSafetensors: {
      uint64_t header = 0;
      std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof(header)));
      return view.substr(0, header).find(kSafetensorsMark) != std::string_view::npos;
    }
    case FileKind::kHtml:
      return view.substr(0, kHtmlHead).find(kHtmlMark) != std::string_view::npos;
  }
  return false;
}

// With the mark; a safetensors file has it among its metadata, a page in its head.
std::string Marked(FileKind kind, std::string_view bytes) {
  std::string marked(bytes);
  switch (kind) {
    case FileKind::kJson: {
      HID_CHECK(bytes.starts_with("{"), "no JSON object");
      const bool empty = bytes.find_first_not_of(" \n", 1) == bytes.find('}');
      marked.replace(0, 1, std::string(kJsonMark) + (empty ? "" : ","));
      break;
    }
    case FileKind::kPng:
      HID_CHECK(bytes.size() > kPngHeader, "no PNG");
      marked.insert(kPngHeader, kPngMark);
      break;
    case FileKind::kWebp: {
      HID_CHECK(bytes.size() > kRiffSize + sizeof(uint32_t), "no WebP");
      marked += kWebpMark;
      const auto size = static_cast<uint32_t>(marked.size() - kRiffSize - sizeof(uint32_t));
      std::memcpy(marked.data() + kRiffSize, &size, sizeof(size));
      break;
    }
    case FileKind::kSafetensors:
    case FileKind::kHtml:
      break;
  }
  return marked;
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
  if (fs::is_regular_file(status) && !fs::is_empty(real, code) && !IsOurs(kind, ReadFile(real))) {
    throw UserError("name another file, or remove it first",
                    "{} is there and was not written by this program as the same kind of file: it "
                    "is not replaced",
                    path.string());
  }
  CheckWritableDirectory(real.parent_path());
}

void WriteOutputFile(const fs::path& path, FileKind kind, std::string_view bytes) {
  CheckOutputFile(path, kind);
  const std::string marked = Marked(kind, bytes);
  if (IsSpecialFile(path)) {
    return WriteSpecial(path, marked);
  }
  const fs::path real = RealPath(path);
  EnsureWritableDirectory(real.parent_path());
  WriteBeside(real, marked);
}

}  // namespace hidreamer
