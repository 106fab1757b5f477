#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

namespace hidreamer::layers {

// Calls body(next) on each of torch's threads; next() gives each index below `count` once, to
// whichever thread asks first, and then nothing. For long pieces of about equal work beside other
// work that takes some of the cores' time: at::parallel_for waits for the slowest of equal shares.
template <class Body>
void ParallelForDynamic(int64_t count, const Body& body) {
  std::atomic<int64_t> taken = 0;
  const auto next = [&]() -> std::optional<int64_t> {
    const int64_t index = taken.fetch_add(1, std::memory_order_relaxed);
    return index < count ? std::optional(index) : std::nullopt;
  };
  at::parallel_for(0, std::min<int64_t>(count, at::get_num_threads()), 1,
                   [&](int64_t begin, int64_t end) {
                     if (begin < end) {
                       body(next);
                     }
                   });
}

}  // namespace hidreamer::layers
