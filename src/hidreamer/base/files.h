#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace hidreamer {

// Writes `bytes` beside `path`, flushes them to disk and renames: a reader sees the old file or the
// new one, whole. Creates missing parent directories. Throws a user Error if the directory cannot
// be written.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// Fills a fresh directory `path`.partial through `fill(directory)`, flushes every file and renames
// it to `path`, which is replaced if it exists. A crash leaves either the old directory or the new
// one.
void WriteDirectoryAtomically(const std::filesystem::path& path,
                              const std::function<void(const std::filesystem::path&)>& fill);

// The whole file. Throws a user Error if it cannot be read.
std::string ReadFile(const std::filesystem::path& path);

// Creates the directory and checks that files can be written in it. Throws a user Error otherwise.
void EnsureWritableDirectory(const std::filesystem::path& path);

// Flushes a file's (or directory's) contents to disk.
void FlushToDisk(const std::filesystem::path& path);

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
