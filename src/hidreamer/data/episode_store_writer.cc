#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/data/episode_store.h"
#include "hidreamer/data/frame_blocks.h"
#include "hidreamer/data/store_format.h"

namespace hidreamer::data {
namespace fs = std::filesystem;
namespace format = store_format;

namespace {

template <typename T>
std::string_view AsBytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
void Extend(std::vector<T>& values, std::span<const T> more) {
  values.insert(values.end(), more.begin(), more.end());
}

nlohmann::json InfoToJson(const StoreInfo& info) {
  return {{"game", info.game},     {"protocol", info.protocol},
          {"policy", info.policy}, {"action_names", info.action_names},
          {"seed", info.seed},     {"extra", info.extra}};
}

}  // namespace

struct EpisodeStoreWriter::Impl {
  Impl(const fs::path& path, StoreInfo store_info)
      : directory(path, format::Recording()), info(std::move(store_info)) {}

  NewDirectory directory;  // frames are streamed into it
  StoreInfo info;
  std::FILE* file = nullptr;
  BlockCompressor compressor;
  std::vector<uint8_t> pending;  // frames of the block being filled
  int pending_count = 0;
  std::vector<uint8_t> actions, terminals, truncateds, lives, ram;
  std::vector<float> rewards;
  std::vector<uint32_t> block_rows;
  std::vector<uint64_t> block_offsets = {0};

  ~Impl() {
    if (file != nullptr) {
      std::fclose(file);
    }
  }

  [[noreturn]] void FailToWrite(const char* hint) const {
    throw UserError(hint, "cannot write {}: {}", directory.path().string(), std::strerror(errno));
  }

  void WriteBlock(std::span<const char> block, uint32_t rows) {
    if (std::fwrite(block.data(), 1, block.size(), file) != block.size()) {
      FailToWrite("is the disk full?");
    }
    block_rows.push_back(rows);
    block_offsets.push_back(block_offsets.back() + block.size());
  }

  void FlushBlock() {
    if (pending_count > 0) {
      WriteBlock(compressor.Compress(pending.data(), pending_count),
                 static_cast<uint32_t>(pending_count));
      pending_count = 0;
    }
  }

  std::string Columns() const {
    const format::Layout layout = format::ComputeLayout(actions.size(), block_rows.size());
    std::string bytes(layout.total, '\0');
    const std::array<std::string_view, format::kColumnCount> columns = {
        AsBytes(actions), AsBytes(terminals), AsBytes(truncateds), AsBytes(lives),
        AsBytes(rewards), AsBytes(ram),       AsBytes(block_rows), AsBytes(block_offsets)};
    for (size_t c = 0; c < columns.size(); ++c) {
      HID_CHECK(columns[c].size() == layout.bytes[c], "column {}", c);
      std::copy(columns[c].begin(), columns[c].end(),
                bytes.begin() + static_cast<std::ptrdiff_t>(layout.begin[c]));
    }
    return bytes;
  }
};

EpisodeStoreWriter::EpisodeStoreWriter(const fs::path& path, StoreInfo info)
    : impl_(std::make_unique<Impl>(path, std::move(info))) {
  Impl& w = *impl_;
  w.file = std::fopen((w.directory.path() / format::kFramesFile).c_str(), "wb");
  if (w.file == nullptr) {
    w.FailToWrite("choose a directory you may write to");
  }
  w.pending.resize(size_t{kBlockFrames} * env::kFrameBytes);
}

EpisodeStoreWriter::~EpisodeStoreWriter() = default;

int64_t EpisodeStoreWriter::size() const { return static_cast<int64_t>(impl_->actions.size()); }

void EpisodeStoreWriter::Append(const StepRecord& record) {
  Impl& w = *impl_;
  HID_CHECK(record.action >= 0 && record.action < 256, "action = {}", record.action);
  std::memcpy(w.pending.data() + w.pending_count * env::kFrameBytes, record.frame.data(),
              env::kFrameBytes);
  ++w.pending_count;
  w.actions.push_back(static_cast<uint8_t>(record.action));
  w.terminals.push_back(record.result.terminal ? 1 : 0);
  w.truncateds.push_back(record.result.truncated ? 1 : 0);
  w.lives.push_back(static_cast<uint8_t>(record.result.lives));
  w.rewards.push_back(record.result.reward);
  w.ram.insert(w.ram.end(), record.ram.begin(), record.ram.end());
  if (w.pending_count == kBlockFrames) {
    w.FlushBlock();
  }
}

void EpisodeStoreWriter::EndEpisode() {
  Impl& w = *impl_;
  if (!w.actions.empty() && w.terminals.back() == 0) {
    w.truncateds.back() = 1;
  }
}

void EpisodeStoreWriter::AppendStore(const EpisodeStore& store) {
  Impl& w = *impl_;
  HID_CHECK(store.info().action_names == w.info.action_names, "stores of different games");
  EndEpisode();
  w.FlushBlock();
  store.ForEachBlock(
      [&](std::span<const char> block, uint32_t rows) { w.WriteBlock(block, rows); });
  Extend(w.actions, store.actions());
  Extend(w.terminals, store.terminals());
  Extend(w.truncateds, store.truncateds());
  Extend(w.lives, store.lives());
  Extend(w.rewards, store.rewards());
  Extend(w.ram, store.ram());
}

void EpisodeStoreWriter::Finish() {
  Impl& w = *impl_;
  HID_CHECK(w.file != nullptr, "a store is finished once");
  EndEpisode();
  w.FlushBlock();
  if (std::fclose(std::exchange(w.file, nullptr)) != 0) {
    w.FailToWrite("is the disk full?");
  }
  const std::string columns = w.Columns();
  nlohmann::json manifest = {{"format", format::kFormatName},
                             {"version", format::kVersion},
                             {"rows", w.actions.size()},
                             {"blocks", w.block_rows.size()},
                             {"frame_bytes", w.block_offsets.back()},
                             {"columns_bytes", columns.size()},
                             {"columns_crc32", format::Checksum(columns)},
                             {"info", InfoToJson(w.info)}};
  manifest["checksum"] = format::Checksum(manifest.dump());
  WriteFileAtomically(w.directory.path() / format::kColumnsFile, columns);
  WriteFileAtomically(w.directory.path() / format::kManifestFile, manifest.dump(2) + "\n");
  w.directory.Publish();
}

}  // namespace hidreamer::data
