#include "hidreamer/base/new_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

constexpr const char* kOld = "old";
constexpr const char* kFreePlace = "name a directory that does not exist, or an empty one";

// Where the directory is made, once its place is known to be free.
fs::path WorkPath(fs::path target, const DirectoryKind& kind) {
  CheckReplaceable(target, kind);
  return target += ".partial";
}

// The name of a file in the directory that is not of the kind; empty where there is none.
std::string ForeignFile(const fs::path& directory, const DirectoryKind& kind) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool known = name == kind.manifest ||
                       std::find(kind.files.begin(), kind.files.end(), name) != kind.files.end();
    if (!known || !entry.is_regular_file()) {
      return name;
    }
  }
  return "";
}

// A directory that another disk is mounted on cannot be renamed.
void CheckIsNoMountPoint(const fs::path& directory) {
  struct stat own = {}, parent = {};
  if (::stat(directory.c_str(), &own) == 0 &&
      ::stat(directory.parent_path().c_str(), &parent) == 0 && own.st_dev != parent.st_dev) {
    throw UserError("name a directory inside it", "{} is where a disk is mounted",
                    directory.string());
  }
}

bool HoldsCurrentDirectory(const fs::path& directory) {
  std::error_code code;
  const fs::path relative = fs::current_path(code).lexically_relative(directory);
  return !code && !relative.empty() && *relative.begin() != "..";
}

// After a process that ended between the two renames of Publish.
void PutBackOld(const fs::path& target) {
  std::error_code code;
  fs::path old = target;
  old = (old += ".partial") / kOld;
  if (fs::exists(old, code) && (!fs::exists(target, code) || fs::is_empty(target, code))) {
    fs::remove(target, code);
    Rename(old, target);
  }
}

void MoveEntries(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    Rename(entry.path(), to / entry.path().filename());
  }
}

}  // namespace

void CheckReplaceable(const fs::path& path, const DirectoryKind& kind) {
  const fs::path real = RealPath(path);
  std::error_code code;
  if (!fs::exists(real, code)) {
    return;
  }
  if (!fs::is_directory(real, code)) {
    throw UserError(kFreePlace, "{} is there and no directory: it is not replaced", path.string());
  }
  CheckIsNoMountPoint(real);
  if (fs::is_empty(real, code)) {
    return;
  }
  const fs::path manifest = real / kind.manifest;
  if (!fs::is_regular_file(manifest, code) || !kind.is_ours(ReadFile(manifest))) {
    throw UserError(kFreePlace, "{} holds files and is not {}: it is not replaced", path.string(),
                    kind.name);
  }
  if (const std::string foreign = ForeignFile(real, kind); !foreign.empty()) {
    throw UserError(kFreePlace, "{} holds {}, which is no part of {}: it is not replaced",
                    path.string(), foreign, kind.name);
  }
}

NewDirectory::NewDirectory(const fs::path& path, DirectoryKind kind)
    : target_(RealPath(path)),
      kind_(std::move(kind)),
      work_(WorkPath(target_, kind_), [this] { PutBackOld(target_); }),
      content_(work_.path() / "new"),
      old_(work_.path() / kOld) {
  EnsureWritableDirectory(content_);
}

void NewDirectory::Publish() {
  for (const auto& entry : fs::recursive_directory_iterator(content_)) {
    FlushToDisk(entry.path());
  }
  FlushToDisk(content_);
  try {
    CheckReplaceable(target_, kind_);  // somebody may have put something there meanwhile
    if (!fs::exists(target_)) {
      Rename(content_, target_);
    } else if (HoldsCurrentDirectory(target_)) {  // --out .: a shell stays where it is
      EnsureWritableDirectory(old_);
      MoveEntries(target_, old_);
      MoveEntries(content_, target_);
    } else {
      Rename(target_, old_);
      Rename(content_, target_);
    }
  } catch (const Error& error) {
    work_.Keep();
    throw UserError("move it to where you want it", "{}; the new one is complete in {}",
                    error.what(), content_.string());
  }
  FlushToDisk(target_.parent_path());
}

}  // namespace hidreamer
