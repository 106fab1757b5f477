#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hidreamer/layers/precision.h"
#include "hidreamer/training/device.h"

namespace hidreamer::performance {

// Of all made-up data and weights.
inline constexpr uint64_t kWorkloadSeed = 1;

struct WorkloadOptions {
  layers::Precision precision = layers::Precision::kF32;  // where the program offers a choice
  torch::Device device = torch::kCPU;
  int threads = 1;     // of games; torch's are the process's
  bool quick = false;  // tiny shapes: shows that everything runs, its figures mean nothing
};

// One piece of the program's work on fixed shapes and made-up data, through the classes that do it
// in earnest.
struct Workload {
  std::string shape;            // for people
  layers::Precision precision;  // of its matrix products
  std::function<void()> run;    // one repetition
  double items = 1;             // done by a repetition
  std::string unit;             // of the items
};

// What the cost of a world-model training step grows with.
struct WorldModelSize {
  int64_t window = 64;  // T, steps
  int64_t batch = 32;   // B
  int64_t levels = 3;   // L
  int64_t codes = 256;  // V, of each level
};
Workload WorldModelTrainOf(const WorldModelSize& size, const WorkloadOptions& options);

using WorkloadMaker = Workload (*)(const WorkloadOptions&);

// Each makes what `hidreamer bench` lists under the same name; what they allocate lives as long as
// the Workload. Sizes are those of configs/seed.yaml.
Workload WorldModelTrain(const WorkloadOptions& options);
Workload WorldModelForward(const WorkloadOptions& options);
Workload Imagination(const WorkloadOptions& options);
Workload HrvqEncode(const WorkloadOptions& options);
Workload HrvqTrain(const WorkloadOptions& options);
Workload EncoderForward(const WorkloadOptions& options);
Workload InfoNceStep(const WorkloadOptions& options);
Workload Atari(const WorkloadOptions& options);  // throws a user Error without ROM or emulator
Workload WindowSampling(const WorkloadOptions& options);

struct NamedWorkload {
  std::string name;
  WorkloadMaker make;
};
const std::vector<NamedWorkload>& AllWorkloads();

// The named ones in the list's order; all for no name. Throws a user Error for an unknown name,
// with the nearest known one.
std::vector<NamedWorkload> SelectWorkloads(const std::vector<std::string>& names);

}  // namespace hidreamer::performance
