#pragma once

#include <cstdint>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/kernels/target.h"

#ifdef HID_BF16_KERNELS
namespace hidreamer::kernels {

// The eight tiles of a core's matrix units (Intel AMX), up to 16 rows of 64 bytes each: 0 to 3 hold
// sums (16, 16) f32, 4 and 5 left-hand sides (16, pairs, 2) bf16, 6 and 7 right-hand sides (pairs,
// 16, 2) bf16.
struct AmxUnits {
  static void Configure(int64_t pairs) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } tiles;
    for (int i = 0; i < 8; ++i) {
      tiles.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? 4 * pairs : 64);
      tiles.rows[i] = static_cast<uint8_t>(i >= 6 ? pairs : 16);
    }
    asm volatile("ldtilecfg %0" ::"m"(tiles));
  }
  static void Release() { asm volatile("tilerelease"); }

  template <int kTile>
  static void Zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static void Load(const void* from, int64_t stride_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride_bytes), "i"(kTile)
                 : "memory");
  }
  template <int kTile>
  static void Store(void* to, int64_t stride_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride_bytes), "i"(kTile)
                 : "memory");
  }
  template <int kSums, int kLeft, int kRight>
  static void MultiplyAdd() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft), "i"(kRight));
  }
};

// The same in plain code, for tests on processors without them.
class EmulatedUnits {
 public:
  static void Configure(int64_t pairs) { state().pairs = pairs; }
  static void Release() { state().pairs = 0; }

  template <int kTile>
  static void Zero() {
    Each<kTile>([](Row& row) { row = {}; });
  }
  template <int kTile>
  static void Load(const void* from, int64_t stride_bytes) {
    const auto* at = static_cast<const char*>(from);
    Each<kTile>([&](Row& row) {
      row = {};
      __builtin_memcpy(&row, at, RowBytes<kTile>());
      at += stride_bytes;
    });
  }
  template <int kTile>
  static void Store(void* to, int64_t stride_bytes) {
    auto* at = static_cast<char*>(to);
    Each<kTile>([&](Row& row) {
      __builtin_memcpy(at, &row, RowBytes<kTile>());
      at += stride_bytes;
    });
  }
  template <int kSums, int kLeft, int kRight>
  static void MultiplyAdd() {
    State& units = state();
    for (size_t r = 0; r < 16; ++r) {
      for (size_t pair = 0; pair < static_cast<size_t>(units.pairs); ++pair) {
        const Bf16* const left = units.tiles[kLeft][r].numbers + 2 * pair;
        const float even = FromBf16(left[0]), odd = FromBf16(left[1]);
        const Bf16* const right = units.tiles[kRight][pair].numbers;
        float* const sums = units.tiles[kSums][r].sums;
        for (size_t o = 0; o < 16; ++o) {
          sums[o] += even * FromBf16(right[2 * o]) + odd * FromBf16(right[2 * o + 1]);
        }
      }
    }
  }

 private:
  union Row {
    float sums[16] = {};
    Bf16 numbers[32];
  };
  struct State {
    Row tiles[8][16];
    int64_t pairs = 0;
  };
  static State& state() {
    static thread_local State state;
    return state;
  }
  template <int kTile>
  static size_t RowBytes() {
    return kTile == 4 || kTile == 5 ? static_cast<size_t>(4 * state().pairs) : 64;
  }
  template <int kTile, class Use>
  static void Each(const Use& use) {
    const int64_t rows = kTile >= 6 ? state().pairs : 16;
    for (int64_t r = 0; r < rows; ++r) {
      use(state().tiles[kTile][r]);
    }
  }
};

}  // namespace hidreamer::kernels
#endif
