#pragma once

#include <cstdint>
#include <vector>

namespace hidreamer::kernels {

// Memory that is needed soon, brought into the second cache piece by piece between products: read
// when it is needed, it would be waited for.
class ReadAhead {
 public:
  // `rows` rows of `bytes`, `stride` bytes apart.
  void Add(const void* begin, int64_t bytes, int64_t rows = 1, int64_t stride = 0) {
    if (bytes > 0 && rows > 0) {
      blocks_.push_back({static_cast<const char*>(begin), bytes, rows, stride, 0});
    }
  }

  // The next few lines of a cache.
  void Some(int64_t lines) {
    constexpr int64_t kLineBytes = 64;
    for (; lines > 0 && !blocks_.empty(); --lines) {
      Block& block = blocks_.back();
      __builtin_prefetch(block.row + block.done, /*rw=*/0, /*locality=*/2);
      block.done += kLineBytes;
      if (block.done >= block.bytes) {
        block.done = 0;
        block.row += block.stride;
        if (--block.rows == 0) {
          blocks_.pop_back();
        }
      }
    }
  }

 private:
  struct Block {
    const char* row;
    int64_t bytes, rows, stride, done;
  };
  std::vector<Block> blocks_;
};

}  // namespace hidreamer::kernels
