#include <cmath>

#include "hidreamer/training/optimizer.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

// As many parameters as the world model, in blocks of its usual shape.
std::vector<training::NamedParameter> Parameters() {
  constexpr int64_t kBlocks = 18;
  torch::manual_seed(1);
  std::vector<training::NamedParameter> parameters;
  for (int64_t i = 0; i < kBlocks; ++i) {
    torch::Tensor value = torch::randn({1536, 384});
    value.mutable_grad() = torch::randn({1536, 384});
    parameters.push_back({std::to_string(i), value});
  }
  return parameters;
}

void AdamStep(benchmark::State& state) {
  constexpr double kRate = 1e-3, kDecay = 0.1, kEpsilon = 1e-8;
  const auto parameters = Parameters();
  const torch::Tensor start = parameters[0].value.to(torch::kDouble);
  training::Adam adam(parameters, {.epsilon = kEpsilon, .weight_decay = kDecay, .decoupled = true});
  adam.Step(kRate);
  // The first step by hand: both moments, bias-corrected, are the gradient and its square.
  const torch::Tensor gradient = parameters[0].value.grad().to(torch::kDouble);
  const torch::Tensor exact =
      start * (1 - kRate * kDecay) - kRate * gradient / (gradient.abs() + kEpsilon);
  CountError(state, parameters[0].value, exact);
  for (auto _ : state) {
    adam.Step(kRate);
  }
}
BENCHMARK(AdamStep)->Unit(benchmark::kMillisecond);

void ClipGradNorm(benchmark::State& state) {
  const auto parameters = Parameters();
  torch::Tensor norm;
  for (auto _ : state) {
    norm = training::ClipGradNorm(parameters, 1e9);  // measures, does not scale
  }
  torch::Tensor exact = torch::zeros({}, torch::kDouble);
  for (const training::NamedParameter& parameter : parameters) {
    exact += parameter.value.grad().to(torch::kDouble).square().sum();
  }
  CountError(state, norm, exact.sqrt());
}
BENCHMARK(ClipGradNorm)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hidreamer::benchmarks
