#pragma once

// One binary runs everywhere: of a function marked so, the loader picks the widest version that the
// processor has. The levels are sets of instructions (v4: AVX-512 with F, BW, CD, DQ and VL; v3:
// AVX2 and FMA). A processor's name, "arch=haswell", would be taken on that processor alone, and
// "avx512f" has fused multiply-adds in some vector widths and not in others, so that results
// depend on how a loop happens to be cut.
// Not under sanitizers: the loader chooses before they are set up. Clang 14 knows no levels.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HID_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HID_VECTOR_CLONES
#endif
