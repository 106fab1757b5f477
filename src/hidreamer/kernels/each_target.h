// Includes HID_KERNELS once for each set of instructions (target.h). Not guarded: every source
// of kernels includes it once.
#ifdef HID_BF16_KERNELS
#define HID_TARGET avx512
#define HID_AVX512
HID_BEGIN_AVX512
#include HID_KERNELS
HID_END_TARGET
#undef HID_AVX512
#undef HID_TARGET
#define HID_TARGET avx2
HID_BEGIN_AVX2
#include HID_KERNELS
HID_END_TARGET
#undef HID_TARGET
#endif
#undef HID_KERNELS
