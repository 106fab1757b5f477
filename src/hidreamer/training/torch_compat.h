#pragma once

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <vector>

// All that differs between torch 1.13 (Debian) and 2.x. Nothing else looks at torch's version.
#define HID_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||      \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace hidreamer::training::compat {

inline bool IsAutocastEnabled(torch::Device device) {
#if HID_TORCH_AT_LEAST(2, 4)
  return at::autocast::is_autocast_enabled(device.type());
#else
  return device.is_cuda() ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled();
#endif
}

inline at::ScalarType AutocastType(torch::Device device) {
#if HID_TORCH_AT_LEAST(2, 4)
  return at::autocast::get_autocast_dtype(device.type());
#else
  return device.is_cuda() ? at::autocast::get_autocast_gpu_dtype()
                          : at::autocast::get_autocast_cpu_dtype();
#endif
}

inline void SetAutocast(torch::Device device, bool enabled, at::ScalarType type) {
#if HID_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_dtype(device.type(), type);
  at::autocast::set_autocast_enabled(device.type(), enabled);
#else
  if (device.is_cuda()) {
    at::autocast::set_autocast_gpu_dtype(type);
    at::autocast::set_enabled(enabled);
  } else {
    at::autocast::set_autocast_cpu_dtype(type);
    at::autocast::set_cpu_enabled(enabled);
  }
#endif
}

// Fused scaled dot-product attention where torch has one; an undefined tensor where it has not.
inline torch::Tensor FusedAttention(const torch::Tensor& q, const torch::Tensor& k,
                                    const torch::Tensor& v, const torch::Tensor& mask,
                                    double dropout) {
#if HID_TORCH_AT_LEAST(2, 0)
  torch::optional<torch::Tensor> optional_mask;
  if (mask.defined()) {
    optional_mask = mask;
  }
  return at::scaled_dot_product_attention(q, k, v, optional_mask, dropout);
#else
  (void)q, (void)k, (void)v, (void)mask, (void)dropout;
  return {};
#endif
}

// targets <- targets + share * (sources - targets), in few kernels where torch can.
inline void LerpAll(std::vector<torch::Tensor>& targets, const std::vector<torch::Tensor>& sources,
                    double share) {
#if HID_TORCH_AT_LEAST(2, 1)
  at::_foreach_lerp_(targets, sources, share);
#else
  for (size_t i = 0; i < targets.size(); ++i) {
    targets[i].lerp_(sources[i], share);
  }
#endif
}

// tensors <- tensors * factor, a number () on their device; in few kernels where torch can.
inline void ScaleAll(std::vector<torch::Tensor>& tensors, const torch::Tensor& factor) {
#if HID_TORCH_AT_LEAST(2, 1)
  at::_foreach_mul_(tensors, factor);
#else
  for (torch::Tensor& tensor : tensors) {
    tensor.mul_(factor);
  }
#endif
}

// A step of Adam or, decoupled, of AdamW in few kernels, where torch has them: on a GPU. `step`:
// its learning rate and its count from 1, (2) on the same device. False: nothing was done.
inline bool FusedAdam(std::vector<torch::Tensor>& parameters, std::vector<torch::Tensor>& gradients,
                      std::vector<torch::Tensor>& m, std::vector<torch::Tensor>& v,
                      const torch::Tensor& step, double beta1, double beta2, double weight_decay,
                      double epsilon, bool decoupled) {
#if HID_TORCH_AT_LEAST(2, 2)
  if (parameters[0].is_cuda()) {
    const torch::Tensor numbers = step.to(torch::kFloat32);
    const torch::Tensor lr = numbers[0];
    const std::vector<torch::Tensor> counts(parameters.size(), numbers[1]);
    const auto run = [&](const auto& kernel) {
      kernel(parameters, gradients, m, v, /*max_exp_avg_sqs=*/at::TensorList(), counts, lr, beta1,
             beta2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
    };
    if (decoupled) {
      run([](const auto&... x) { at::_fused_adamw_(x...); });
    } else {
      run([](const auto&... x) { at::_fused_adam_(x...); });
    }
    return true;
  }
#endif
  (void)parameters, (void)gradients, (void)m, (void)v, (void)step, (void)beta1, (void)beta2;
  (void)weight_decay, (void)epsilon, (void)decoupled;
  return false;
}

// While it lives, f32 matrix products on CUDA are made in f32.
class FullPrecisionGuard {
 public:
  FullPrecisionGuard() : before_(at::globalContext().allowTF32CuBLAS()) {
    at::globalContext().setAllowTF32CuBLAS(false);
  }
  ~FullPrecisionGuard() { at::globalContext().setAllowTF32CuBLAS(before_); }
  FullPrecisionGuard(const FullPrecisionGuard&) = delete;
  FullPrecisionGuard& operator=(const FullPrecisionGuard&) = delete;

 private:
  bool before_;
};

// TF32 for f32 matrix products on CUDA: 10 bits of mantissa, several times faster.
inline void AllowTf32(bool allow) {
  at::globalContext().setAllowTF32CuBLAS(allow);
  at::globalContext().setAllowTF32CuDNN(allow);
}

}  // namespace hidreamer::training::compat
