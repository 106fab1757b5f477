#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace hidreamer::pipeline {

// {"cpu", "features": [the vector units that matter here], "gpus": [names], "cores",
// "memory_bytes"}.
nlohmann::json DescribeMachine();

// {"hidreamer", "torch", "ale"}.
nlohmann::json DescribeVersions();

// Largest resident memory of this process so far.
int64_t PeakMemoryBytes();

}  // namespace hidreamer::pipeline
