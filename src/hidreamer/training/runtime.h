#pragma once

#include <cstdint>

namespace hidreamer::training {

// Settings of the process, made once at the start, before any other thread: the number of threads
// of torch's operators (0: DefaultThreads()), and an allocator that keeps large temporaries instead
// of mapping and unmapping them at every use (which made transformer blocks 1.5 to 2 times slower).
// Where there are as many threads as cores, each stays on its own, unless another process holds
// its threads to one of these cores already: a scheduler that puts two of them on one, as it does
// beside another such program, makes every busy wait inside the library last for a slice of time
// (docs/performance.md, "Waiting threads"). With more than two the caller's own stays free: those
// that a library ends and starts again begin where it may run. Threads of other work call
// RunOnAnyCore(). Returns the number of threads.
int ConfigureRuntime(int64_t threads);

}  // namespace hidreamer::training
