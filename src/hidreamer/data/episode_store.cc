#include "hidreamer/data/episode_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <numeric>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/memory.h"
#include "hidreamer/data/frame_blocks.h"
#include "hidreamer/data/store_format.h"

namespace hidreamer::data {
namespace fs = std::filesystem;
namespace format = store_format;

namespace {

using env::kFrameBytes;
using env::kStackDepth;

constexpr const char* kRecordAgain = "record or import it again";

// A thread's latest decompressed blocks, of all stores it reads.
struct BlockCache {
  struct Entry {
    uint64_t store = 0;  // 0: empty
    size_t block = 0;
    uint64_t used = 0;
    std::vector<uint8_t> frames;
  };
  std::array<Entry, 4> entries;
  uint64_t clock = 0;
};

uint64_t NextStoreId() {
  static std::atomic<uint64_t> next = 1;
  return next++;
}

StoreInfo InfoFromJson(const nlohmann::json& json) {
  StoreInfo info;
  json.at("game").get_to(info.game);
  json.at("protocol").get_to(info.protocol);
  json.at("policy").get_to(info.policy);
  json.at("action_names").get_to(info.action_names);
  json.at("seed").get_to(info.seed);
  info.extra = json.at("extra");
  return info;
}

nlohmann::json ReadManifest(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) {
    throw UserError("hidreamer collect records one", "there is no recording at {}", path.string());
  }
  const fs::path file = path / format::kManifestFile;
  if (!fs::is_regular_file(file, code)) {
    throw UserError("hidreamer collect records one", "{} is not a recording: it has no {}",
                    path.string(), format::kManifestFile);
  }
  nlohmann::json manifest =
      nlohmann::json::parse(ReadFile(file), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || manifest.value("format", nlohmann::json()) != format::kFormatName) {
    throw UserError(kRecordAgain, "{} is not a recording's manifest, or damaged", file.string());
  }
  if (manifest.value("version", nlohmann::json()) != format::kVersion) {
    throw UserError(kRecordAgain, "{} has format version {}, this program reads version {}",
                    path.string(), manifest.value("version", nlohmann::json()).dump(),
                    format::kVersion);
  }
  const nlohmann::json checksum = manifest.value("checksum", nlohmann::json());
  manifest.erase("checksum");
  if (checksum != format::Checksum(manifest.dump())) {
    throw UserError(kRecordAgain, "{} is damaged (checksum)", file.string());
  }
  return manifest;
}

}  // namespace

struct EpisodeStore::Impl {
  fs::path path;
  StoreInfo info;
  MappedFile columns;
  MappedFile frames;
  format::Layout layout;
  int64_t rows = 0;
  std::vector<EpisodeRange> episodes;
  std::vector<int64_t> block_begins;  // (B + 1) first row of each block
  uint64_t id = NextStoreId();
  LazyMemory kept;                            // all frames, or nothing
  std::unique_ptr<std::once_flag[]> is_kept;  // of each block

  explicit Impl(const fs::path& directory, const nlohmann::json& manifest)
      : path(directory),
        info(InfoFromJson(manifest.at("info"))),
        columns(directory / format::kColumnsFile),
        frames(directory / format::kFramesFile) {
    const auto blocks = manifest.at("blocks").get<uint64_t>();
    rows = manifest.at("rows").get<int64_t>();
    layout = format::ComputeLayout(static_cast<uint64_t>(rows), blocks);
    if (columns.bytes().size() != layout.total ||
        manifest.at("columns_bytes").get<uint64_t>() != layout.total ||
        frames.bytes().size() != manifest.at("frame_bytes").get<uint64_t>()) {
      throw UserError(kRecordAgain, "the recording {} is truncated", path.string());
    }
    if (format::Checksum(columns.bytes()) != manifest.at("columns_crc32").get<uint32_t>()) {
      throw UserError(kRecordAgain, "the recording {} is damaged (checksum)", path.string());
    }
    FindBlocks();
    FindEpisodes();
    CheckColumns();
  }

  template <typename T>
  std::span<const T> Get(format::Column column) const {
    return {reinterpret_cast<const T*>(columns.bytes().data() + layout.begin[column]),
            layout.bytes[column] / sizeof(T)};
  }

  void FindBlocks() {
    block_begins = {0};
    for (const uint32_t count : Get<uint32_t>(format::kBlockRows)) {
      HID_CHECK(count >= 1 && count <= kBlockFrames, "{} frames in a block", count);
      block_begins.push_back(block_begins.back() + count);
    }
    HID_CHECK(block_begins.back() == rows, "{} frames of {}", block_begins.back(), rows);
  }

  void FindEpisodes() {
    const auto terminals = Get<uint8_t>(format::kTerminals);
    const auto truncateds = Get<uint8_t>(format::kTruncateds);
    int64_t begin = 0;
    for (int64_t row = 0; row < rows; ++row) {
      const auto i = static_cast<size_t>(row);
      if (terminals[i] != 0 || truncateds[i] != 0 || row == rows - 1) {
        episodes.push_back({begin, row + 1});
        begin = row + 1;
      }
    }
  }

  // A recording from elsewhere, or of an older program, may hold what nobody can learn from.
  void CheckColumns() const {
    const auto rewards = Get<float>(format::kRewards);
    const auto actions = Get<uint8_t>(format::kActions);
    for (size_t row = 0; row < rewards.size(); ++row) {
      if (!std::isfinite(rewards[row])) {
        throw UserError(kRecordAgain, "the recording {} has the reward {} in row {}", path.string(),
                        rewards[row], row);
      }
      if (actions[row] >= info.action_names.size()) {
        throw UserError(kRecordAgain, "the recording {} has the action {} of {} in row {}",
                        path.string(), actions[row], info.action_names.size(), row);
      }
    }
  }

  std::string_view Block(size_t block) const {
    const auto offsets = Get<uint64_t>(format::kBlockOffsets);
    return frames.bytes().substr(offsets[block], offsets[block + 1] - offsets[block]);
  }

  size_t BlockOf(int64_t row) const {
    const auto after = std::upper_bound(block_begins.begin(), block_begins.end(), row);
    return static_cast<size_t>(after - block_begins.begin()) - 1;
  }

  void Decompress(size_t block, uint8_t* out) const {
    const auto count = static_cast<int>(block_begins[block + 1] - block_begins[block]);
    if (!DecompressBlock(Block(block), count, out)) {
      throw UserError(kRecordAgain, "the frames of rows {} to {} in {} are damaged",
                      block_begins[block], block_begins[block + 1] - 1, path.string());
    }
  }

  // Frames of a block, kept, from this thread's cache or decompressed into it. Valid until the next
  // call on this thread.
  const uint8_t* Frames(size_t block) const {
    if (is_kept != nullptr) {
      uint8_t* const frames_of_block =
          kept.data() + static_cast<size_t>(block_begins[block]) * kFrameBytes;
      std::call_once(is_kept[block], [&] { Decompress(block, frames_of_block); });
      return frames_of_block;
    }
    thread_local BlockCache cache;
    ++cache.clock;
    BlockCache::Entry* oldest = &cache.entries[0];
    for (BlockCache::Entry& entry : cache.entries) {
      if (entry.store == id && entry.block == block) {
        entry.used = cache.clock;
        return entry.frames.data();
      }
      if (entry.used < oldest->used) {
        oldest = &entry;
      }
    }
    oldest->store = 0;
    oldest->frames.resize(size_t{kBlockFrames} * kFrameBytes);
    Decompress(block, oldest->frames.data());
    *oldest = {id, block, cache.clock, std::move(oldest->frames)};
    return oldest->frames.data();
  }
};

EpisodeStore::EpisodeStore(const fs::path& path) {
  const nlohmann::json manifest = ReadManifest(path);
  try {
    impl_ = std::make_unique<Impl>(path, manifest);
  } catch (const nlohmann::json::exception& error) {
    throw UserError(kRecordAgain, "{}: {}", (path / format::kManifestFile).string(), error.what());
  }
}

EpisodeStore::~EpisodeStore() = default;
EpisodeStore::EpisodeStore(EpisodeStore&&) noexcept = default;

const StoreInfo& EpisodeStore::info() const { return impl_->info; }
int64_t EpisodeStore::size() const { return impl_->rows; }
uint64_t EpisodeStore::frame_bytes() const { return impl_->frames.bytes().size(); }

void EpisodeStore::KeepFrames() {
  if (impl_->is_kept == nullptr) {
    impl_->kept = LazyMemory(static_cast<size_t>(size()) * kFrameBytes);
    impl_->is_kept = std::make_unique<std::once_flag[]>(impl_->block_begins.size() - 1);
  }
}

std::span<const uint8_t> EpisodeStore::actions() const {
  return impl_->Get<uint8_t>(format::kActions);
}
std::span<const float> EpisodeStore::rewards() const { return impl_->Get<float>(format::kRewards); }
std::span<const uint8_t> EpisodeStore::terminals() const {
  return impl_->Get<uint8_t>(format::kTerminals);
}
std::span<const uint8_t> EpisodeStore::truncateds() const {
  return impl_->Get<uint8_t>(format::kTruncateds);
}
std::span<const uint8_t> EpisodeStore::lives() const { return impl_->Get<uint8_t>(format::kLives); }
std::span<const uint8_t> EpisodeStore::ram() const { return impl_->Get<uint8_t>(format::kRam); }
const std::vector<EpisodeRange>& EpisodeStore::episodes() const { return impl_->episodes; }

const EpisodeRange& EpisodeStore::EpisodeOf(int64_t row) const {
  HID_CHECK(row >= 0 && row < size(), "row = {} of {}", row, size());
  const auto after =
      std::upper_bound(impl_->episodes.begin(), impl_->episodes.end(), row,
                       [](int64_t r, const EpisodeRange& episode) { return r < episode.begin; });
  return *(after - 1);
}

void EpisodeStore::ReadFrames(int64_t begin, int64_t end, uint8_t* out) const {
  HID_CHECK(begin >= 0 && begin <= end && end <= size(), "rows [{}, {}) of {}", begin, end, size());
  for (int64_t row = begin; row < end;) {
    const size_t block = impl_->BlockOf(row);
    const int64_t block_begin = impl_->block_begins[block];
    const int64_t stop = std::min(end, impl_->block_begins[block + 1]);
    const uint8_t* frames = impl_->Frames(block);
    const auto bytes = static_cast<size_t>(stop - row) * kFrameBytes;
    std::memcpy(out, frames + (row - block_begin) * kFrameBytes, bytes);
    out += bytes;
    row = stop;
  }
}

std::array<int64_t, kStackDepth> EpisodeStore::RowsOfStack(int64_t row) const {
  const int64_t begin = EpisodeOf(row).begin;
  std::array<int64_t, kStackDepth> rows{};
  for (int i = 0; i < kStackDepth; ++i) {
    rows[static_cast<size_t>(i)] = std::max(begin, row - (kStackDepth - 1 - i));
  }
  return rows;
}

void EpisodeStore::ReadStack(int64_t row, uint8_t* out) const {
  const int64_t begin = RowsOfStack(row).front();
  const int64_t missing = kStackDepth - (row - begin + 1);
  ReadFrames(begin, row + 1, out + missing * kFrameBytes);
  for (int64_t i = 0; i < missing; ++i) {
    std::memcpy(out + i * kFrameBytes, out + missing * kFrameBytes, kFrameBytes);
  }
}

// In ascending order of rows, so that neighbours share a decompressed block.
void EpisodeStore::ReadStacks(std::span<const int64_t> rows, uint8_t* out) const {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rows[a] < rows[b]; });
  for (const size_t i : order) {
    ReadStack(rows[i], out + i * size_t{kStackDepth} * kFrameBytes);
  }
}

void EpisodeStore::ForEachBlock(
    const std::function<void(std::span<const char> block, uint32_t rows)>& visit) const {
  const auto counts = impl_->Get<uint32_t>(format::kBlockRows);
  for (size_t block = 0; block < counts.size(); ++block) {
    visit(impl_->Block(block), counts[block]);
  }
}

}  // namespace hidreamer::data
