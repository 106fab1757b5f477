#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hidreamer {

// Writes `bytes` to `path`.partial, flushes them to disk and renames: a reader sees the old file or
// the new one, whole. Creates missing parent directories. Throws a user Error if the directory
// cannot be written. For files inside our own directories; those that a user names: output_file.h.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// The whole file. Throws a user Error if it cannot be read.
std::string ReadFile(const std::filesystem::path& path);

// Creates the directory and checks that files can be written in it. Throws a user Error otherwise.
void EnsureWritableDirectory(const std::filesystem::path& path);

// Throws a user Error unless files can be written in the directory, which may have to be made.
// Leaves no trace.
void CheckWritableDirectory(const std::filesystem::path& path);

// Throws a user Error unless the disk that `path` is on, or will be on, has so many bytes left.
void CheckFreeSpace(const std::filesystem::path& path, double bytes);

// The same place without links, `.`, `..` and a slash at the end, from the root: what lies beside
// it can be named. It need not exist. Throws a user Error for an empty path.
std::filesystem::path RealPath(const std::filesystem::path& path);

// What lies in share/hidreamer beside the bin directory of an installed program. It need not exist.
std::filesystem::path InstalledData(const std::filesystem::path& name);

// fs::rename that throws a user Error.
void Rename(const std::filesystem::path& from, const std::filesystem::path& to);

// Flushes a file's (or directory's) contents to disk.
void FlushToDisk(const std::filesystem::path& path);

// Makes a directory and those above it. At the end of its life it removes those of them that are
// empty, so that work which comes to nothing leaves no trace.
class MadeDirectories {
 public:
  // Throws a user Error if it cannot be made.
  explicit MadeDirectories(const std::filesystem::path& path);
  ~MadeDirectories();
  MadeDirectories(const MadeDirectories&) = delete;
  MadeDirectories& operator=(const MadeDirectories&) = delete;

 private:
  void RemoveEmpty();

  std::vector<std::filesystem::path> made_;  // outermost first
};

// A read-only memory-mapped file.
class MappedFile {
 public:
  // Throws a user Error if the file cannot be opened or mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace hidreamer
