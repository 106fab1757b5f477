#include "hidreamer/layers/dropout.h"
#include "hidreamer/layers/linear.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

// The world model's products for one dreamed position: rows, inputs, outputs.
void DreamShapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({32, 384, 1152})->Args({32, 384, 1536})->Args({32, 1536, 384});
  benchmark->Unit(benchmark::kMicrosecond);
}

template <typename Multiply>
void Product(benchmark::State& state, Multiply multiply) {
  const torch::NoGradGuard no_grad;
  const int64_t rows = state.range(0), inner = state.range(1), outputs = state.range(2);
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({rows, inner}), weight = torch::randn({outputs, inner});
  const torch::Tensor bias = torch::randn({outputs});
  torch::Tensor out;
  for (auto _ : state) {
    out = multiply(x, weight, bias);
  }
  CountError(
      state, out,
      torch::linear(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble)));
}

void FewRowsLinear(benchmark::State& state) { Product(state, layers::Linear); }
BENCHMARK(FewRowsLinear)->Apply(DreamShapes);

void TorchsLinear(benchmark::State& state) {
  Product(state, [](const torch::Tensor& x, const torch::Tensor& weight,
                    const torch::Tensor& bias) { return torch::linear(x, weight, bias); });
}
BENCHMARK(TorchsLinear)->Apply(DreamShapes);

template <typename Drop>
void DropoutOf(benchmark::State& state, Drop drop) {
  constexpr double kProbability = 0.1;
  torch::manual_seed(1);
  const torch::Tensor x = torch::rand({2048, 1536}).add_(1);
  torch::Tensor y;
  for (auto _ : state) {
    y = drop(x, kProbability, true);
  }
  const torch::Tensor kept = y.ne(0).to(torch::kDouble);
  CountError(state, y, x.to(torch::kDouble) * kept / (1 - kProbability));
}

void Dropout(benchmark::State& state) { DropoutOf(state, layers::Dropout); }
BENCHMARK(Dropout)->Unit(benchmark::kMillisecond);

void TorchsDropout(benchmark::State& state) {
  DropoutOf(state, [](const torch::Tensor& x, double p, bool train) {
    return torch::dropout(x, p, train);
  });
}
BENCHMARK(TorchsDropout)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hidreamer::benchmarks
