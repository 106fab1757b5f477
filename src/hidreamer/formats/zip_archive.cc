#include "hidreamer/formats/zip_archive.h"

#include <unzip.h>

#include <memory>

#include "hidreamer/base/error.h"

namespace hidreamer::formats {
namespace {

constexpr size_t kLongestName = 4096;

struct CloseZip {
  void operator()(void* zip) const { unzClose(zip); }
};

Error Damaged(const std::filesystem::path& path, const std::string& what) {
  return UserError("the file is corrupt or was cut short", "cannot read {}: {}", path.string(),
                   what);
}

std::string ReadEntry(unzFile zip, const std::filesystem::path& path, const std::string& name,
                      const unz_file_info64& information, uint64_t room) {
  // Stored entries cannot be larger than the file: no claimed size can exhaust the memory.
  if (information.uncompressed_size > room ||
      information.compressed_size != information.uncompressed_size) {
    throw Damaged(path, fmt::format("entry {} has an impossible size", name));
  }
  if (unzOpenCurrentFile(zip) != UNZ_OK) {
    throw Damaged(path, fmt::format("entry {} cannot be opened", name));
  }
  std::string bytes(information.uncompressed_size, '\0');
  constexpr size_t kChunk = size_t{1} << 30;
  size_t done = 0;
  while (done < bytes.size()) {
    const int read = unzReadCurrentFile(
        zip, bytes.data() + done, static_cast<unsigned>(std::min(kChunk, bytes.size() - done)));
    if (read <= 0) {
      unzCloseCurrentFile(zip);
      throw Damaged(path, fmt::format("entry {} ends early", name));
    }
    done += static_cast<size_t>(read);
  }
  if (unzCloseCurrentFile(zip) != UNZ_OK) {
    throw Damaged(path, fmt::format("entry {} fails its checksum", name));
  }
  return bytes;
}

}  // namespace

std::map<std::string, std::string> ReadStoredZip(const std::filesystem::path& path) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) {
    throw UserError("", "no file {}", path.string());
  }
  uint64_t room = std::filesystem::file_size(path);  // for the entries that are still to come
  const std::unique_ptr<void, CloseZip> zip(unzOpen64(path.c_str()));
  if (!zip) {
    throw Damaged(path, "it is no zip archive");
  }
  std::map<std::string, std::string> entries;
  int result = unzGoToFirstFile(zip.get());
  for (; result == UNZ_OK; result = unzGoToNextFile(zip.get())) {
    unz_file_info64 information{};
    std::string name(kLongestName, '\0');
    if (unzGetCurrentFileInfo64(zip.get(), &information, name.data(), kLongestName, nullptr, 0,
                                nullptr, 0) != UNZ_OK ||
        information.size_filename >= kLongestName) {
      throw Damaged(path, "its directory is damaged");
    }
    name.resize(information.size_filename);
    if (information.compression_method != 0) {
      continue;
    }
    if (!entries.emplace(name, ReadEntry(zip.get(), path, name, information, room)).second) {
      throw Damaged(path, fmt::format("entry {} is there twice", name));
    }
    room -= information.uncompressed_size;
  }
  if (result != UNZ_END_OF_LIST_OF_FILE) {
    throw Damaged(path, "its directory is damaged");
  }
  return entries;
}

}  // namespace hidreamer::formats
