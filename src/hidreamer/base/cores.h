#pragma once

#include <filesystem>
#include <vector>

namespace hidreamer {

// The cores on which the process might run at the first call, ascending; not empty.
const std::vector<int>& CoresOfProcess();

// How many cores' worth of time a container's control groups (v1 and v2) leave to this process;
// infinity where they set no limit. `root` holds proc/ and sys/.
double CpuQuota(const std::filesystem::path& root = "/");

// Threads of a process that was not told how many: OMP_NUM_THREADS where the user set it, else its
// share of the cores among `processes` of the same work. The cores are those it may run on, no more
// than the quota allows. At least 1.
int DefaultThreads(int processes = 1);

// Reserves all cores of the process for threads that stay on them, until the process ends; false
// where another process reserved one of them.
bool ReserveCores();
// The calling thread, and those that it starts, run on one core alone. Where that is forbidden,
// anywhere.
void StayOnCore(int core);
// Undoes that: for a thread started by one that stays on a core.
void RunOnAnyCore();

}  // namespace hidreamer
