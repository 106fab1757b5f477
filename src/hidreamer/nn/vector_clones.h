#pragma once

// One binary runs everywhere: of a function marked so, the loader picks the widest version that the
// processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define HID_VECTOR_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define HID_VECTOR_CLONES
#endif
