#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "hidreamer/base/new_directory.h"

// Layout of an EpisodeStore directory, version 1:
//   store.json    {"format", "version", "rows" N, "blocks" B, "frame_bytes", "columns_crc32",
//                  "columns_bytes", "info": {…}, "checksum" of the rest}
//   columns.bin   the columns below one after another, each padded to a multiple of 64 bytes
//   frames.bin    B zstd blocks (frame_blocks.h) without gaps
// All numbers are little-endian.
namespace hidreamer::data::store_format {

constexpr const char* kFormatName = "hidreamer episode store";
constexpr int kVersion = 1;
constexpr const char* kManifestFile = "store.json";
constexpr const char* kColumnsFile = "columns.bin";
constexpr const char* kFramesFile = "frames.bin";

enum Column {
  kActions,       // (N) u8
  kTerminals,     // (N) u8
  kTruncateds,    // (N) u8
  kLives,         // (N) u8
  kRewards,       // (N) f32
  kRam,           // (N, 128) u8
  kBlockRows,     // (B) u32, frames in each block
  kBlockOffsets,  // (B + 1) u64, where each block begins in frames.bin; the last is its size
  kColumnCount
};

struct Layout {
  std::array<uint64_t, kColumnCount> begin{};
  std::array<uint64_t, kColumnCount> bytes{};
  uint64_t total = 0;
};

// Where the columns lie for N rows and B blocks.
Layout ComputeLayout(uint64_t rows, uint64_t blocks);

uint32_t Checksum(std::string_view bytes);  // CRC-32

// How a recording is told from anybody else's directory. In a run it also holds stage.json.
DirectoryKind Recording();

}  // namespace hidreamer::data::store_format
