#pragma once

#include <torch/torch.h>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/versioned_cache.h"

namespace hidreamer::layers {

// A linear layer that evaluates rows by the hundred under bf16 autocast on the CPU with a kernel of
// our own and its weight packed once for as long as it stays the same, where the library converts
// and rearranges it at every call. Everything else as Linear.
class PackedLinearImpl : public torch::nn::LinearImpl {
 public:
  using torch::nn::LinearImpl::LinearImpl;

  // x (..., K) -> (..., N), bf16 under autocast.
  torch::Tensor forward(const torch::Tensor& x);

 private:
  VersionedCache<kernels::Bf16Matrix> packed_;
};
TORCH_MODULE(PackedLinear);

}  // namespace hidreamer::layers
