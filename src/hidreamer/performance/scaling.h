#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/performance/bench.h"

namespace hidreamer::performance {

// How the time of a world-model training step grows with T, B, L and V, one at a time from a common
// size, beside the law it should follow: the multiply-adds of blocks, causal attention and heads.
// Uses precision, threads, seconds and quick of the options; sets the process up.
//   {"machine", "threads", "precision", "quick", "points": [{"varies", "window", "batch", "levels",
//    "codes", "median", "repetitions", "growth", "expected_growth"}]}
// Growth is over the first point of the same "varies".
nlohmann::json RunScaling(const BenchOptions& options);

// The same for people.
std::string FormatScaling(const nlohmann::json& scaling);

}  // namespace hidreamer::performance
