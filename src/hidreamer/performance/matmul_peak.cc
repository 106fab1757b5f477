#include "hidreamer/performance/matmul_peak.h"

#include <torch/torch.h>

#include "hidreamer/performance/timing.h"

namespace hidreamer::performance {

MatmulPeak MeasureMatmulPeak(layers::Precision precision, int64_t largest, torch::Device device,
                             double warm_up) {
  constexpr double kLongProduct = 0.2;  // seconds
  torch::NoGradGuard no_grad;
  MatmulPeak peak;
  for (int64_t size = 256; size <= largest; size *= 2) {
    const auto type = torch::TensorOptions(device).dtype(layers::TypeOfTorch(precision, device));
    // Random numbers: a GPU multiplies constants faster.
    const torch::Tensor a = torch::rand({size, size}, torch::TensorOptions(device)).to(type),
                        b = torch::rand({size, size}, torch::TensorOptions(device)).to(type);
    torch::Tensor out = torch::empty({size, size}, type);
    const Timing timing =
        TimeRepetitions([&] { torch::matmul_out(out, a, b); },
                        {.fewest = 1, .most = 10, .seconds = 0.4, .warm_up = warm_up}, device);
    warm_up = 0;
    const auto n = static_cast<double>(size);
    const double gflops = 2 * n * n * n / timing.min / 1e9;
    if (gflops > peak.gflops) {
      peak = {.gflops = gflops, .size = size};
    }
    if (timing.min > kLongProduct) {
      break;
    }
  }
  return peak;
}

}  // namespace hidreamer::performance
