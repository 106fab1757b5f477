#pragma once

#include <cstdint>

namespace hidreamer::nn {

// Settings of the process, made once at the start, before any other thread: the number of threads
// of torch's operators (0: all cores), and an allocator that keeps large temporaries instead of
// mapping and unmapping them at every use (which made transformer blocks 1.5 to 2 times slower).
// Returns the number of threads.
int ConfigureRuntime(int64_t threads);

}  // namespace hidreamer::nn
