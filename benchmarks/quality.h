#pragma once

#include <benchmark/benchmark.h>
#include <torch/torch.h>

namespace hidreamer::benchmarks {

// Largest difference from a computation in double precision, relative to the latter's largest
// value.
inline void CountError(benchmark::State& state, const torch::Tensor& result,
                       const torch::Tensor& exact) {
  const torch::Tensor difference = (result.to(torch::kDouble) - exact).abs().max();
  state.counters["error_f64"] = (difference / exact.abs().max()).item<double>();
}

}  // namespace hidreamer::benchmarks
