#include "hidreamer/layers/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <mutex>

#include "hidreamer/base/error.h"

namespace hidreamer::layers {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread

torch::Tensor Apply(const kernels::DropoutPlan& plan, const torch::Tensor& x) {
  const torch::Tensor in = x.contiguous();
  torch::Tensor out = torch::empty_like(in);
  const float* const from = in.data_ptr<float>();
  float* const to = out.data_ptr<float>();
  at::parallel_for(0, in.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernels::ApplyDropout(plan, static_cast<uint32_t>(begin), from + begin, end - begin,
                          to + begin);
  });
  return out;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const kernels::DropoutPlan& plan) {
    context->saved_data["plan"] = ToIValue(plan);
    return Apply(plan, x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const kernels::DropoutPlan plan = DropoutPlanFromIValue(context->saved_data["plan"]);
    return {Apply(plan, gradients[0]), {}};
  }
};

}  // namespace

kernels::DropoutPlan PlanDropout(double probability) {
  HID_CHECK(probability >= 0 && probability < 1, "dropout probability {}", probability);
  kernels::DropoutPlan plan;
  if (probability > 0) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const std::lock_guard<std::mutex> lock(generator.mutex());
    const uint64_t key = at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
    plan.key[0] = static_cast<uint32_t>(key);
    plan.key[1] = static_cast<uint32_t>(key >> 32);
    plan.threshold = static_cast<uint32_t>(std::ldexp(probability, 32));
    plan.scale = static_cast<float>(1 / (1 - probability));
  }
  return plan;
}

c10::IValue ToIValue(const kernels::DropoutPlan& plan) {
  return std::vector<double>{static_cast<double>(plan.key[0]), static_cast<double>(plan.key[1]),
                             static_cast<double>(plan.threshold), static_cast<double>(plan.scale)};
}

kernels::DropoutPlan DropoutPlanFromIValue(const c10::IValue& value) {
  const std::vector<double> numbers = value.toDoubleVector();
  return {.key = {static_cast<uint32_t>(numbers[0]), static_cast<uint32_t>(numbers[1])},
          .threshold = static_cast<uint32_t>(numbers[2]),
          .scale = static_cast<float>(numbers[3])};
}

torch::Tensor Dropout(const torch::Tensor& x, double probability, bool training) {
  if (!training || probability == 0) {
    return x;
  }
  if (!x.is_cpu() || x.scalar_type() != torch::kFloat32) {
    return torch::dropout(x, probability, /*train=*/true);
  }
  return DropoutFunction::apply(x, PlanDropout(probability));
}

}  // namespace hidreamer::layers
