#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hidreamer::performance {

struct BenchOptions {
  std::vector<std::string> only;   // names of workloads; empty: all
  std::string precision = "auto";  // "f32" | "bf16" | "auto"
  std::string device = "cpu";      // "cpu" | "cuda"
  int64_t threads = 0;             // 0: all cores
  double seconds = 10;             // to spend on the repetitions of each
  bool quick = false;              // tiny shapes, two repetitions
};

// Measures the program's own work and, first, the machine's matmul peak. Sets the process up
// (training::ConfigureRuntime, training::UseDevice). Progress goes to stderr. Throws a user Error
// for an unknown name or precision, and where a workload named in `only` cannot run here; others
// are then skipped.
//   {"machine", "versions", "device", "threads", "precision", "quick", "start_seconds",
//    "matmul_peak": {"f32": {"gflops", "size"}, …},
//    "results": [{"name", "shape", "precision", "median", "min", "max" (seconds), "repetitions",
//                 "unit", "rate" (units a second), "flops", "gflops" (a second), "share_of_peak",
//                 "products_alone" (seconds), "share_of_training_step"} or {"name", "skipped":
//                 why}]}
// products_alone: TimeProductsAlone, and at the peak what kernels of our own counted.
// What does not apply is left out; start_seconds is from the start of the process to the end of its
// first matrix product.
nlohmann::json RunBench(const BenchOptions& options);

// The same for people.
std::string FormatBench(const nlohmann::json& bench);

}  // namespace hidreamer::performance
