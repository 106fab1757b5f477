#include "hidreamer/nn/runtime.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <torch/torch.h>

#include <algorithm>
#include <thread>

namespace hidreamer::nn {

int ConfigureRuntime(int64_t threads) {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  const int count = threads > 0
                        ? static_cast<int>(threads)
                        : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  torch::set_num_threads(count);
  return count;
}

}  // namespace hidreamer::nn
