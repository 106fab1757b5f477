#include "hidreamer/performance/matmul_peak.h"

#include <torch/torch.h>

#include "hidreamer/performance/timing.h"

namespace hidreamer::performance {

MatmulPeak MeasureMatmulPeak(nn::Precision precision, int64_t largest) {
  constexpr double kLongProduct = 0.2;  // seconds
  torch::NoGradGuard no_grad;
  MatmulPeak peak;
  for (int64_t size = 256; size <= largest; size *= 2) {
    const auto type = precision == nn::Precision::kBf16 ? torch::kBFloat16 : torch::kFloat32;
    const torch::Tensor a = torch::ones({size, size}, type), b = torch::ones({size, size}, type);
    torch::Tensor out = torch::empty({size, size}, type);
    const Timing timing = TimeRepetitions([&] { torch::matmul_out(out, a, b); },
                                          {.fewest = 1, .most = 10, .seconds = 0.4});
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
