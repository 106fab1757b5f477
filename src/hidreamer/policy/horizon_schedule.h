#pragma once

#include <cstdint>

namespace hidreamer::policy {

// Horizons between 5 and 30 over `total` training updates, rounded to nearest. Decay: long dreams
// first. Bell: short, long in the middle, short again.
//   decay  5 + 25 (1 + cos(pi p)) / 2       bell  5 + 25 (1 - cos(2 pi p)) / 2       p = step /
//   total
int64_t DecayingHorizon(int64_t step, int64_t total);
int64_t BellHorizon(int64_t step, int64_t total);

}  // namespace hidreamer::policy
