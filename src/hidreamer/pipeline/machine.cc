#include "hidreamer/pipeline/machine.h"

#include <sys/resource.h>
#include <torch/version.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/memory.h"

namespace hidreamer::pipeline {
namespace {

// The value of the first line "key: value" of a file that starts with `key`.
std::string Value(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos) {
      return line.substr(std::min(line.size(), line.find_first_not_of(" \t", colon + 1)));
    }
  }
  return {};
}

std::string CpuInfo(const std::string& key) { return Value("/proc/cpuinfo", key); }

// Names of the NVIDIA GPUs that the driver lists.
nlohmann::json Gpus() {
  auto names = nlohmann::json::array();
  std::error_code none;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", none)) {
    names.push_back(Value(gpu.path() / "information", "Model"));
  }
  return names;
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
  return {{"cpu", CpuInfo("model name")},
          {"features", features},
          {"gpus", Gpus()},
          {"cores", CoresOfProcess().size()},
          {"memory_bytes", MemoryOfMachine()}};
}

nlohmann::json DescribeVersions() {
  nlohmann::json versions = {
      {"hidreamer", HID_VERSION}, {"torch", TORCH_VERSION}, {"ale", HID_ALE_VERSION}};
  if (HID_COMMIT[0] != '\0') {  // built from a clone
    versions["commit"] = HID_COMMIT;
  }
  return versions;
}

int64_t PeakMemoryBytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace hidreamer::pipeline
