#pragma once

#include <torch/torch.h>

#include <memory>

namespace hidreamer::nn {

// A linear layer that evaluates rows by the hundred under bf16 autocast on the CPU with a kernel of
// our own and its weight packed once for as long as it stays the same, where the library converts
// and rearranges it at every call. Everything else as nn::Linear. One thread at a time.
class PackedLinearImpl : public torch::nn::LinearImpl {
 public:
  using torch::nn::LinearImpl::LinearImpl;

  // x (..., K) -> (..., N), bf16 under autocast.
  torch::Tensor forward(const torch::Tensor& x);

 private:
  struct Packed;
  const Packed& Pack();

  std::shared_ptr<const Packed> packed_;
};
TORCH_MODULE(PackedLinear);

}  // namespace hidreamer::nn
