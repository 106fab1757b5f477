#pragma once

#include <vector>

namespace hidreamer {

// The cores on which the process might run at the first call, ascending; not empty.
const std::vector<int>& CoresOfProcess();

// The calling thread, and those that it starts, run on one core alone. Where that is forbidden,
// anywhere.
void StayOnCore(int core);
// Undoes that: for a thread started by one that stays on a core.
void RunOnAnyCore();

}  // namespace hidreamer
