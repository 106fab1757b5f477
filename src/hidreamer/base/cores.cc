#include "hidreamer/base/cores.h"

#include <sched.h>

namespace hidreamer {
namespace {

void RunOn(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) {
    CPU_SET(static_cast<size_t>(core), &set);
  }
  sched_setaffinity(0, sizeof(set), &set);
}

}  // namespace

const std::vector<int>& CoresOfProcess() {
  static const std::vector<int> cores = [] {
    std::vector<int> found;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
      for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(static_cast<size_t>(core), &set)) {
          found.push_back(core);
        }
      }
    }
    return found.empty() ? std::vector<int>{0} : found;
  }();
  return cores;
}

void StayOnCore(int core) { RunOn({core}); }
void RunOnAnyCore() { RunOn(CoresOfProcess()); }

}  // namespace hidreamer
