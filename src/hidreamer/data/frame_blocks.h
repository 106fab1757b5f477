#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "hidreamer/env/environment.h"

namespace hidreamer::data {

// Frames are compressed in blocks of up to kBlockFrames consecutive rows. Within a block each frame
// but the first is XORed with the one before (most pixels of a game stand still) and the whole is
// one zstd frame with a content checksum.
constexpr int kBlockFrames = 16;

// Compresses `count` <= kBlockFrames frames. One instance serves one thread.
class BlockCompressor {
 public:
  BlockCompressor();
  ~BlockCompressor();
  BlockCompressor(const BlockCompressor&) = delete;
  BlockCompressor& operator=(const BlockCompressor&) = delete;

  // frames (count, 84, 84). The result is valid until the next call.
  std::span<const char> Compress(const uint8_t* frames, int count);

 private:
  void* context_;
  std::vector<uint8_t> delta_;
  std::vector<char> compressed_;
};

// Decompresses a block of exactly `count` frames into out (count, 84, 84). False if it is corrupt.
bool DecompressBlock(std::string_view block, int count, uint8_t* out);

}  // namespace hidreamer::data
