#include "hidreamer/training/checkpoint.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::training {
namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;
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

// Why a checkpoint is not whole. Whatever else stands in the way of reading it is an Error.
struct Damage {
  std::string reason;
};

[[noreturn]] void ThrowUnreadable(const fs::path& path, const std::error_code& code) {
  throw UserError("nothing was changed; make it readable and try again", "cannot read {}: {}",
                  path.string(), code.message());
}

struct Found {
  int64_t updates = 0;
  fs::path path;
};

// Checkpoint directories, newest first. What a crash left half-written, and what was damaged, has
// another name.
std::vector<Found> List(const fs::path& checkpoints) {
  std::vector<Found> found;
  std::error_code code;
  const fs::directory_iterator entries(checkpoints, code);
  if (code == std::errc::no_such_file_or_directory) {
    return found;
  }
  if (code) {
    ThrowUnreadable(checkpoints, code);
  }
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename();
    int64_t step = -1;
    if (name.starts_with(kPrefix)) {
      const char* end = name.data() + name.size();
      const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
      if (parsed.ec == std::errc() && parsed.ptr == end) {
        found.push_back({step, entry.path()});
      }
    }
  }
  std::ranges::sort(found, std::greater(), &Found::updates);
  return found;
}

// Throws Damage where the checkpoint is not whole.
Checkpoint Load(const fs::path& path) {
  const fs::path text = path / "state.json", state = path / "state.safetensors";
  for (const fs::path& file : {text, state}) {
    std::error_code code;
    if (!fs::exists(file, code)) {
      if (code) {
        ThrowUnreadable(file, code);
      }
      throw Damage{fmt::format("{} is missing", file.string())};
    }
  }
  const nlohmann::json description =
      nlohmann::json::parse(ReadFile(text), nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* key) {
    return description.is_object() && description.contains(key) &&
           description[key].is_number_integer();
  };
  if (has("format") && description["format"].get<int64_t>() > kFormatVersion) {
    throw UserError(
        fmt::format("nothing was changed; use the version that wrote it, or move {} away to begin "
                    "anew",
                    path.parent_path().string()),
        "{} was written by a newer version of hidreamer: format {}, this version reads {}",
        text.string(), description["format"].get<int64_t>(), kFormatVersion);
  }
  if (!has("format") || !has("updates") || !has("checksum")) {
    throw Damage{fmt::format("{} is damaged", text.string())};
  }
  if (FileChecksum(state) != description["checksum"].get<uint32_t>()) {
    throw Damage{fmt::format("{} is damaged: its checksum differs", state.string())};
  }
  return {.updates = description["updates"].get<int64_t>(),
          .state = formats::LoadSafetensors(state).tensors,
          .identity = description.value("identity", nlohmann::json::object()),
          .seconds = description.value("seconds", 0.0)};
}

// Out of the way, or a run that does more updates would count it among those it keeps.
void PutAside(const fs::path& path) {
  fs::path aside = path;
  aside += ".damaged";
  for (int copy = 2; fs::exists(aside); ++copy) {
    aside = path;
    aside += fmt::format(".damaged{}", copy);
  }
  std::error_code code;
  fs::rename(path, aside, code);
  if (code) {
    throw UserError("make its directory writable", "cannot rename the damaged {}: {}",
                    path.string(), code.message());
  }
}

}  // namespace

void SaveCheckpoint(const fs::path& checkpoints, const Checkpoint& checkpoint, size_t kept) {
  NewDirectory directory(checkpoints / fmt::format("{}{:09d}", kPrefix, checkpoint.updates),
                         kCheckpoint);
  const fs::path state = directory.path() / "state.safetensors";
  formats::SaveSafetensors(state, checkpoint.state);
  const nlohmann::json description = {{"format", kFormatVersion},
                                      {"updates", checkpoint.updates},
                                      {"checksum", FileChecksum(state)},
                                      {"identity", checkpoint.identity},
                                      {"seconds", checkpoint.seconds}};
  WriteFileAtomically(directory.path() / "state.json", description.dump(2) + "\n");
  directory.Publish();
  const std::vector<Found> all = List(checkpoints);
  for (size_t i = kept; i < all.size(); ++i) {
    std::error_code ignored;
    fs::remove_all(all[i].path, ignored);
  }
}

std::optional<Checkpoint> LoadNewestCheckpoint(const fs::path& checkpoints) {
  const std::vector<Found> all = List(checkpoints);
  std::vector<std::string> reasons;  // of those that are newer than the first whole one
  for (const Found& found : all) {
    try {
      Checkpoint checkpoint = Load(found.path);
      for (size_t i = 0; i < reasons.size(); ++i) {
        PutAside(all[i].path);
        spdlog::warn("{}; it is kept as {}.damaged, and the checkpoint of update {} is used",
                     reasons[i], all[i].path.filename().string(), checkpoint.updates);
      }
      return checkpoint;
    } catch (const Damage& damage) {
      reasons.push_back(damage.reason);
    }
  }
  if (!reasons.empty()) {
    throw UserError(fmt::format("nothing was changed; restore it from a copy, or move {} away to "
                                "begin anew",
                                checkpoints.string()),
                    "no checkpoint can be used: {}", fmt::join(reasons, "; "));
  }
  return std::nullopt;
}

int64_t UpdatesOfNewestCheckpoint(const fs::path& checkpoints) {
  const std::vector<Found> all = List(checkpoints);
  return all.empty() ? 0 : all.front().updates;
}

}  // namespace hidreamer::training
