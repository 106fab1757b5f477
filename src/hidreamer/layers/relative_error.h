#pragma once

#include <torch/torch.h>

namespace hidreamer::layers {

// |x - expected| / |expected|, for tests.
inline double RelativeError(const torch::Tensor& x, const torch::Tensor& expected) {
  const torch::Tensor exact = expected.to(torch::kDouble);
  return ((x.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

}  // namespace hidreamer::layers
