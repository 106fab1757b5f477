#include "hidreamer/pipeline/checkpoint.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/nn/safetensors.h"

namespace hidreamer::pipeline {
namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;
constexpr size_t kKept = 2;
constexpr std::string_view kPrefix = "step_";

const DirectoryKind kCheckpoint = {.name = "a checkpoint",
                                   .manifest = "state.json",
                                   .is_ours = [](const std::string&) { return true; },
                                   .files = {"state.safetensors"}};

uint32_t FileChecksum(const fs::path& path) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Checkpoint directories, newest first. What a crash left half-written has another name.
std::vector<fs::path> List(const fs::path& checkpoints) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(checkpoints, missing)) {
    const std::string name = entry.path().filename();
    int64_t step = -1;
    if (name.starts_with(kPrefix)) {
      const char* end = name.data() + name.size();
      const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
      if (parsed.ec == std::errc() && parsed.ptr == end) {
        found.emplace_back(step, entry.path());
      }
    }
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<fs::path> paths;
  for (auto& [step, path] : found) {
    paths.push_back(std::move(path));
  }
  return paths;
}

Checkpoint Load(const fs::path& path) {
  const nlohmann::json description =
      nlohmann::json::parse(ReadFile(path / "state.json"), nullptr, /*allow_exceptions=*/false);
  if (!description.is_object() || description.value("format", 0) != kFormatVersion ||
      !description.value("updates", nlohmann::json()).is_number_integer() ||
      !description.value("checksum", nlohmann::json()).is_number_unsigned()) {
    throw UserError("", "{} is damaged or of another version", (path / "state.json").string());
  }
  if (FileChecksum(path / "state.safetensors") != description["checksum"].get<uint32_t>()) {
    throw UserError("", "{} is damaged: its checksum differs",
                    (path / "state.safetensors").string());
  }
  return {.updates = description["updates"].get<int64_t>(),
          .state = nn::LoadSafetensors(path / "state.safetensors").tensors,
          .identity = description.value("identity", nlohmann::json::object())};
}

}  // namespace

void SaveCheckpoint(const fs::path& checkpoints, const Checkpoint& checkpoint) {
  NewDirectory directory(checkpoints / fmt::format("{}{:09d}", kPrefix, checkpoint.updates),
                         kCheckpoint);
  const fs::path state = directory.path() / "state.safetensors";
  nn::SaveSafetensors(state, checkpoint.state);
  const nlohmann::json description = {{"format", kFormatVersion},
                                      {"updates", checkpoint.updates},
                                      {"checksum", FileChecksum(state)},
                                      {"identity", checkpoint.identity}};
  WriteFileAtomically(directory.path() / "state.json", description.dump(2) + "\n");
  directory.Publish();
  const std::vector<fs::path> all = List(checkpoints);
  for (size_t i = kKept; i < all.size(); ++i) {
    std::error_code ignored;
    fs::remove_all(all[i], ignored);
  }
}

std::optional<Checkpoint> LoadNewestCheckpoint(const fs::path& checkpoints) {
  for (const fs::path& path : List(checkpoints)) {
    try {
      return Load(path);
    } catch (const Error& error) {
      spdlog::warn("checkpoint passed over: {}", error.what());
      // Out of the way, or a run that does more updates would count it among the two it keeps.
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  }
  return std::nullopt;
}

}  // namespace hidreamer::pipeline
