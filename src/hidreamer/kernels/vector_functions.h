// Included by vectors.h alone, once for each set of instructions.
#ifdef HID_AVX512
#include "hidreamer/kernels/vectors_avx512.h"
#else
#include "hidreamer/kernels/vectors_avx2.h"
#endif

namespace hidreamer::kernels::HID_TARGET {

constexpr int64_t kLanes = 16;

inline Mask MaskOf(int64_t left) {  // the first `left` lanes, all where there are more
  return LanesBetween(0, left);
}

inline Vector LoadBf16(const Bf16* from) { return FromHalves(LoadHalves(from)); }

inline void Narrow(const float* from, int64_t count, Bf16* to) {  // rounded to nearest
  for (int64_t i = 0; i < count; i += kLanes) {
    StoreBf16(to + i, count - i, Load(MaskOf(count - i), from + i));
  }
}

// f of each of 16 numbers; f is inlined and the loop becomes vectors again.
template <class Function>
inline Vector EachOf(Vector numbers, const Function& f) {
  float each[kLanes];
  Store(each, numbers);
  for (float& number : each) {
    number = f(number);
  }
  return Load(each);
}

// out (32, 2) = {first[i], second[i]}; without a second, 0.
inline void StoreAsPairs(const Bf16* first, const Bf16* second, Bf16* out) {
  for (int64_t j = 0; j < kPanelOutputs; j += kLanes) {
    Bits pairs = LoadHalves(first + j);
    if (second != nullptr) {
      pairs = Or(pairs, ShiftLeft<16>(LoadHalves(second + j)));
    }
    StoreBits(out + 2 * j, pairs);
  }
}

// sums (32) += both numbers of `count` rows of pairs, each `stride` after the one before.
inline void AddPairs(const Bf16* pairs, int64_t count, int64_t stride, float* sums) {
  constexpr Bf16 kOnes[] = {0x3f80, 0x3f80};
  const Pair one = SpreadPair(kOnes);
  Vector low = Load(sums), high = Load(sums + kLanes);
  for (int64_t i = 0; i < count; ++i, pairs += stride) {
    low = AddProducts(low, one, pairs);
    high = AddProducts(high, one, pairs + 2 * kLanes);
  }
  Store(sums, low);
  Store(sums + kLanes, high);
}

}  // namespace hidreamer::kernels::HID_TARGET
