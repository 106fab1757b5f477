#include "hidreamer/data/npz_import.h"

#include <minizip/unzip.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "hidreamer/base/error.h"
#include "hidreamer/base/progress.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/npy.h"

namespace hidreamer::data {
namespace {

using env::kFrameBytes;
using env::kFrameSize;
using env::kStackDepth;

constexpr size_t kStackBytes = size_t{kStackDepth} * kFrameBytes;
constexpr const char* kExpected =
    "an .npz with states (N,4,84,84) u8, actions (N), rewards (N) and dones (N) is wanted";

class Archive {
 public:
  explicit Archive(const std::filesystem::path& path)
      : path_(path), file_(unzOpen64(path.c_str())) {
    if (file_ == nullptr) {
      throw UserError(kExpected, "cannot read {} as an .npz archive", path.string());
    }
  }
  ~Archive() { unzClose(file_); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  // Makes Read() deliver the array `name`.
  void Open(const std::string& name) {
    constexpr int kCaseSensitive = 1;
    if (unzLocateFile(file_, (name + ".npy").c_str(), kCaseSensitive) != UNZ_OK) {
      throw UserError(kExpected, "{} has no array '{}'", path_.string(), name);
    }
    if (unzOpenCurrentFile(file_) != UNZ_OK) {
      throw UserError(kExpected, "cannot read '{}' in {}", name, path_.string());
    }
  }

  void Read(std::span<uint8_t> out) {
    while (!out.empty()) {
      const auto wanted = static_cast<unsigned>(std::min<size_t>(out.size(), 1U << 30));
      const int got = unzReadCurrentFile(file_, out.data(), wanted);
      if (got <= 0) {
        throw UserError("", "{} is truncated or damaged", path_.string());
      }
      out = out.subspan(static_cast<size_t>(got));
    }
  }

  // Ends the array that is open; checks its CRC if it was read whole.
  void Close() {
    if (unzCloseCurrentFile(file_) != UNZ_OK) {
      throw UserError("", "{} is damaged (checksum)", path_.string());
    }
  }

  std::vector<double> ReadColumn(const std::string& name) {
    const ByteSource source = [this](std::span<uint8_t> out) { Read(out); };
    Open(name);
    const NpyHeader header = ReadNpyHeader(source, name);
    if (header.shape.size() != 1) {
      throw UserError(kExpected, "array '{}' has {} dimensions", name, header.shape.size());
    }
    std::vector<double> items = ReadNpyItems(source, header);
    Close();
    return items;
  }

 private:
  std::filesystem::path path_;
  unzFile file_;
};

std::vector<std::string> ActionNames(const std::vector<double>& actions,
                                     const NpzImportOptions& options) {
  double largest = 0;
  for (const double action : actions) {
    if (!(action >= 0 && action < 256) || action != std::floor(action)) {
      throw UserError("", "action {} is not a whole number in [0, 256)", action);
    }
    largest = std::max(largest, action);
  }
  if (!options.action_names.empty()) {
    if (largest >= static_cast<double>(options.action_names.size())) {
      throw UserError("is it another game?", "action {} in the data, but '{}' has {} actions",
                      largest, options.game, options.action_names.size());
    }
    return options.action_names;
  }
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(largest); ++i) {
    names.push_back("action " + std::to_string(i));
  }
  return names;
}

// Do the older frames of `stack` repeat the newer ones of the stack before?
bool Continues(const std::vector<uint8_t>& before, const std::vector<uint8_t>& stack) {
  return std::memcmp(stack.data(), before.data() + kFrameBytes, kStackBytes - kFrameBytes) == 0;
}

}  // namespace

NpzImportSummary ImportNpz(const std::filesystem::path& npz, const std::filesystem::path& store,
                           const NpzImportOptions& options) {
  Archive archive(npz);
  const std::vector<double> actions = archive.ReadColumn("actions");
  const std::vector<double> rewards = archive.ReadColumn("rewards");
  const std::vector<double> dones = archive.ReadColumn("dones");
  archive.Open("states");
  const ByteSource source = [&](std::span<uint8_t> out) { archive.Read(out); };
  const NpyHeader header = ReadNpyHeader(source, "states");
  const auto rows = static_cast<int64_t>(actions.size());
  if (header.item_bytes != 1 || header.kind != 'u' ||
      header.shape != std::vector<int64_t>{rows, kStackDepth, kFrameSize, kFrameSize} ||
      rewards.size() != actions.size() || dones.size() != actions.size() || rows == 0) {
    throw UserError(kExpected, "the arrays of {} do not fit together", npz.string());
  }
  EpisodeStoreWriter writer(store, {.game = options.game,
                                    .protocol = options.protocol,
                                    .policy = "import",
                                    .action_names = ActionNames(actions, options),
                                    .seed = 0,
                                    .extra = {{"imported_from", npz.filename().string()}}});
  NpzImportSummary summary;
  summary.steps = rows;
  Progress progress("import " + npz.filename().string(), rows, "steps");
  std::vector<uint8_t> before(kStackBytes);
  std::vector<uint8_t> stack(kStackBytes);
  const std::array<uint8_t, env::kRamBytes> no_ram{};
  bool first = true;
  for (size_t i = 0; i < actions.size(); ++i) {
    archive.Read(stack);
    summary.inconsistent_stacks += !first && !Continues(before, stack) ? 1 : 0;
    const bool done = dones[i] != 0;
    writer.Append({.frame = std::span<const uint8_t, kFrameBytes>(
                       stack.data() + kStackBytes - kFrameBytes, kFrameBytes),
                   .action = static_cast<int>(actions[i]),
                   .result = {.reward = static_cast<float>(rewards[i]), .terminal = done},
                   .ram = no_ram});
    first = done;
    summary.episodes += done || i + 1 == actions.size() ? 1 : 0;
    std::swap(before, stack);
    progress.Update(static_cast<int64_t>(i) + 1);
  }
  archive.Close();
  progress.Finish();
  if (summary.inconsistent_stacks > 0) {
    spdlog::warn(
        "{} of {} stacks in {} do not continue the one before; only their newest frames "
        "are kept",
        summary.inconsistent_stacks, rows, npz.string());
  }
  writer.Finish();
  return summary;
}

}  // namespace hidreamer::data
