#include "hidreamer/pipeline/machine.h"

#include <sys/resource.h>
#include <torch/version.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace hidreamer::pipeline {
namespace {

// The text after ": " of the first line of /proc/cpuinfo that starts with `key`.
std::string CpuInfo(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return {};
}

}  // namespace

nlohmann::json DescribeMachine() {
  nlohmann::json features = nlohmann::json::array();
  std::istringstream flags(CpuInfo("flags"));
  for (std::string flag; flags >> flag;) {
    for (const char* wanted :
         {"avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"}) {
      if (flag == wanted) {
        features.push_back(flag);
      }
    }
  }
  const int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  return {{"cpu", CpuInfo("model name")},
          {"features", features},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_bytes", pages * ::sysconf(_SC_PAGESIZE)}};
}

nlohmann::json DescribeVersions() {
  return {{"hidreamer", HID_VERSION}, {"torch", TORCH_VERSION}, {"ale", HID_ALE_VERSION}};
}

int64_t PeakMemoryBytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace hidreamer::pipeline
