#pragma once

#include <spdlog/spdlog.h>

namespace hidreamer {

// Messages go to stderr as plain lines ("warning: …"); stdout is kept for results.
// spdlog::info/warn/error are used directly.
void InitializeLog(bool verbose);

}  // namespace hidreamer
