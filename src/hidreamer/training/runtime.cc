#include "hidreamer/training/runtime.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <omp.h>
#include <torch/torch.h>

#include "hidreamer/base/cores.h"

namespace hidreamer::training {
namespace {

void KeepThreadsApart(int count) {
  const std::vector<int>& cores = CoresOfProcess();
  if (count != static_cast<int>(cores.size()) || count == 1 || count > CpuQuota() ||
      !ReserveCores()) {
    return;
  }
#pragma omp parallel num_threads(count)
  if (const int thread = omp_get_thread_num(); thread > 0 || count == 2) {
    StayOnCore(cores[static_cast<size_t>(thread)]);
  }
}

}  // namespace

int ConfigureRuntime(int64_t threads) {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  const int count = static_cast<int>(threads > 0 ? threads : DefaultThreads());
  torch::set_num_threads(count);
  KeepThreadsApart(count);
  return count;
}

}  // namespace hidreamer::training
