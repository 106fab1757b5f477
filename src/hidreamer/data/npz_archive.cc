#include "hidreamer/data/npz_archive.h"

#include <fmt/ranges.h>
#include <minizip/unzip.h>

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

constexpr size_t kLongestName = 4096;
constexpr std::string_view kSuffix = ".npy";

}  // namespace

NpzArchive::NpzArchive(const std::filesystem::path& path) : path_(path) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) {
    throw UserError("", "no file {}", path.string());
  }
  file_ = unzOpen64(path.c_str());
  if (file_ == nullptr) {
    throw UserError("is it cut short?", "{} is no .npz archive, or lacks its end", path.string());
  }
  for (int result = unzGoToFirstFile(file_); result == UNZ_OK; result = unzGoToNextFile(file_)) {
    std::string name(kLongestName, '\0');
    unz_file_info64 information{};
    if (unzGetCurrentFileInfo64(file_, &information, name.data(), kLongestName, nullptr, 0, nullptr,
                                0) != UNZ_OK ||
        information.size_filename >= kLongestName) {
      break;
    }
    name.resize(information.size_filename);
    if (name.ends_with(kSuffix)) {
      arrays_.push_back(name.substr(0, name.size() - kSuffix.size()));
    }
  }
}

NpzArchive::~NpzArchive() { unzClose(file_); }

std::string NpzArchive::Find(const std::vector<std::string>& names) const {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (std::find(arrays_.begin(), arrays_.end(), name) != arrays_.end()) {
      found.push_back(name);
    }
  }
  if (found.size() > 1) {
    throw UserError("leave one of them", "{} holds both '{}' and '{}', which mean the same",
                    path_.string(), found[0], found[1]);
  }
  return found.empty() ? "" : found[0];
}

formats::NpyHeader NpzArchive::Open(const std::string& name) {
  constexpr int kCaseSensitive = 1;
  if (unzLocateFile(file_, (name + ".npy").c_str(), kCaseSensitive) != UNZ_OK ||
      unzOpenCurrentFile(file_) != UNZ_OK) {
    throw UserError(kExpectedArrays, "cannot read '{}' in {}", name, path_.string());
  }
  return formats::ReadNpyHeader([this](std::span<uint8_t> out) { Read(out); }, name);
}

void NpzArchive::Read(std::span<uint8_t> out) {
  while (!out.empty()) {
    const auto wanted = static_cast<unsigned>(std::min<size_t>(out.size(), 1U << 30));
    const int got = unzReadCurrentFile(file_, out.data(), wanted);
    if (got <= 0) {
      throw UserError("", "{} is truncated or damaged", path_.string());
    }
    out = out.subspan(static_cast<size_t>(got));
  }
}

void NpzArchive::Close() {
  if (unzCloseCurrentFile(file_) != UNZ_OK) {
    throw UserError("", "{} is damaged (checksum)", path_.string());
  }
}

std::vector<double> NpzArchive::ReadColumn(const std::string& name, int64_t rows) {
  const formats::NpyHeader header = Open(name);
  const bool column =
      header.shape.size() == 1 || (header.shape.size() == 2 && header.shape[1] == 1);
  if (!column) {
    throw UserError("one number a row is wanted: (N) or (N, 1)", "array '{}' of {} has shape {}",
                    name, path_.string(), ShapeText(header.shape));
  }
  if (header.shape[0] != rows) {
    throw UserError("every array has as many rows as the states",
                    "array '{}' of {} has {} rows, the states have {}", name, path_.string(),
                    header.shape[0], rows);
  }
  std::vector<double> items =
      formats::ReadNpyItems([this](std::span<uint8_t> out) { Read(out); }, header);
  Close();
  return items;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

}  // namespace hidreamer::data
