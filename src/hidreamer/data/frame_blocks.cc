#include "hidreamer/data/frame_blocks.h"

#include <zstd.h>

#include <cstring>
#include <memory>

#include "hidreamer/base/error.h"

namespace hidreamer::data {
namespace {

using env::kFrameBytes;

constexpr int kCompressionLevel = 3;

// into ^= from, over one frame.
void XorFrame(uint8_t* into, const uint8_t* from) {
  for (int i = 0; i < kFrameBytes; ++i) {
    into[i] = static_cast<uint8_t>(into[i] ^ from[i]);
  }
}

struct ContextDeleter {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

BlockCompressor::BlockCompressor()
    : context_(ZSTD_createCCtx()),
      delta_(size_t{kBlockFrames} * kFrameBytes),
      compressed_(ZSTD_compressBound(delta_.size())) {
  auto* context = static_cast<ZSTD_CCtx*>(context_);
  HID_CHECK(context != nullptr);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
}

BlockCompressor::~BlockCompressor() { ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(context_)); }

std::span<const char> BlockCompressor::Compress(const uint8_t* frames, int count) {
  HID_CHECK(count >= 1 && count <= kBlockFrames, "count = {}", count);
  const size_t size = static_cast<size_t>(count) * kFrameBytes;
  std::memcpy(delta_.data(), frames, size);
  for (int i = 1; i < count; ++i) {
    XorFrame(delta_.data() + i * kFrameBytes, frames + (i - 1) * kFrameBytes);
  }
  const size_t written = ZSTD_compress2(static_cast<ZSTD_CCtx*>(context_), compressed_.data(),
                                        compressed_.size(), delta_.data(), size);
  HID_CHECK(!ZSTD_isError(written), "{}", ZSTD_getErrorName(written));
  return {compressed_.data(), written};
}

bool DecompressBlock(std::string_view block, int count, uint8_t* out) {
  thread_local const std::unique_ptr<ZSTD_DCtx, ContextDeleter> context(ZSTD_createDCtx());
  const size_t size = static_cast<size_t>(count) * kFrameBytes;
  const size_t written = ZSTD_decompressDCtx(context.get(), out, size, block.data(), block.size());
  if (written != size) {  // an error code is larger than any size
    return false;
  }
  for (int i = 1; i < count; ++i) {
    XorFrame(out + i * kFrameBytes, out + (i - 1) * kFrameBytes);
  }
  return true;
}

}  // namespace hidreamer::data
