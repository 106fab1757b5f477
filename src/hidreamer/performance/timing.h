#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "hidreamer/training/device.h"

namespace hidreamer::performance {

// Wall-clock seconds of one repetition.
struct Timing {
  double median = 0;
  double min = 0;
  double max = 0;
  int64_t repetitions = 0;
};

// Throws an internal Error for no value at all.
Timing Summarize(std::vector<double> seconds);

// When to stop repeating: after `most` repetitions, or once `seconds` are over and `fewest` done.
struct RepetitionLimits {
  int64_t fewest = 3;
  int64_t most = 100;
  double seconds = 10;
  // Before: cores and cards raise their clocks, and cores with matrix units (AMX) gave a third of
  // their rate for the first .8 s of work (docs/performance.md).
  double warm_up = 0;
};

// Repetitions to warm up, untimed, at least one and for limits.warm_up seconds, then as many as the
// limits ask for, each until the device has done it. Throws Interrupted on Ctrl-C.
Timing TimeRepetitions(const std::function<void()>& run, const RepetitionLimits& limits,
                       torch::Device device = torch::kCPU);

// Since the system started this process, or 0 where it does not tell; to 10 ms.
double SecondsSinceProcessStart();

}  // namespace hidreamer::performance
