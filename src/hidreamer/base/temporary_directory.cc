#include "hidreamer/base/temporary_directory.h"

#include <utility>

namespace hidreamer {
namespace {

void Remove(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {
  Remove(path_);
}

TemporaryDirectory::~TemporaryDirectory() { Remove(path_); }

}  // namespace hidreamer
