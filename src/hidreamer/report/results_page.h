#pragma once

#include <string>

#include "hidreamer/evaluation/results.h"

namespace hidreamer::report {

// One self-contained page of result files: scores by game, aggregates over games with their
// intervals, and the performance profile of every setting.
std::string RenderResults(const evaluation::Results& results);

}  // namespace hidreamer::report
