#include "hidreamer/base/cores.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace hidreamer {
namespace fs = std::filesystem;

namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

void RunOn(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) {
    CPU_SET(static_cast<size_t>(core), &set);
  }
  sched_setaffinity(0, sizeof(set), &set);
}

double ReadNumber(const fs::path& file, double otherwise) {
  std::ifstream stream(file);
  double number = 0;
  return stream >> number ? number : otherwise;
}

// The limit that one group sets itself, by either version's files.
double QuotaOfGroup(const fs::path& group) {
  std::ifstream version2(group / "cpu.max");  // "150000 100000" or "max 100000"
  double quota = 0, period = 0;
  if (version2 >> quota >> period && period > 0) {
    return quota / period;
  }
  quota = ReadNumber(group / "cpu.cfs_quota_us", -1);  // -1: no limit
  period = ReadNumber(group / "cpu.cfs_period_us", 0);
  return quota > 0 && period > 0 ? quota / period : kNoLimit;
}

// OMP_NUM_THREADS, of a list ("4,2") the first; 0 where the user did not set it.
int OpenMpThreads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  const long threads = text != nullptr ? std::strtol(text, nullptr, 10) : 0;
  // torchrun sets it to 1 where it was not set.
  if (threads < 1 || (threads == 1 && std::getenv("TORCHELASTIC_RUN_ID") != nullptr)) {
    return 0;
  }
  constexpr long kMost = 1024;
  return static_cast<int>(std::min(threads, kMost));
}

// A name in the kernel that one process alone can have, and loses when it ends.
int BindName(const std::string& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // After a zero byte a name is no file's.
  name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
  const int file = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (file >= 0 && ::bind(file, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    ::close(file);
    return -1;
  }
  return file;
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

double CpuQuota(const fs::path& root) {
  std::ifstream groups(root / "proc/self/cgroup");
  double quota = kNoLimit;
  // "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b". Every group above limits it too. A container may
  // see its own group as the root: then the path leads nowhere, and the root holds the limit.
  for (std::string line; std::getline(groups, line);) {
    std::string number, controllers, path;
    std::istringstream parts(line);
    std::getline(parts, number, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, path);
    const bool version2 = number == "0" && controllers.empty();
    if (!version2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) {
      continue;
    }
    const fs::path all = root / "sys/fs/cgroup";
    for (const fs::path& mount :
         {version2 ? all : all / controllers, version2 ? all / "unified" : all / "cpu"}) {
      for (fs::path group = fs::path(path).relative_path();; group = group.parent_path()) {
        quota = std::min(quota, QuotaOfGroup(mount / group));
        if (group.empty()) {
          break;
        }
      }
    }
  }
  return quota;
}

int DefaultThreads(int processes) {
  if (const int threads = OpenMpThreads(); threads > 0) {
    return threads;
  }
  static const double quota = CpuQuota();
  const double cores = std::min(static_cast<double>(CoresOfProcess().size()), quota);
  return std::max(1, static_cast<int>(cores) / std::max(1, processes));
}

bool ReserveCores() {
  static const bool reserved = [] {
    std::vector<int> names;
    for (const int core : CoresOfProcess()) {
      names.push_back(BindName("hidreamer/core/" + std::to_string(core)));
      if (names.back() < 0) {
        names.pop_back();
        std::for_each(names.begin(), names.end(), ::close);
        return false;
      }
    }
    return true;
  }();
  return reserved;
}

void StayOnCore(int core) { RunOn({core}); }
void RunOnAnyCore() { RunOn(CoresOfProcess()); }

}  // namespace hidreamer
