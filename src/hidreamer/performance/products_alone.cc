#include "hidreamer/performance/products_alone.h"

#include <torch/torch.h>

#include <algorithm>
#include <functional>

#include "hidreamer/performance/timing.h"

namespace hidreamer::performance {
namespace {

using Operand = training::CountedOperator::Operand;

torch::Tensor Make(const Operand& operand, layers::Precision precision, torch::Device device) {
  int64_t elements = 1;  // of the memory under it, which broadcasting may repeat
  for (size_t d = 0; d < operand.sizes.size(); ++d) {
    elements += (operand.sizes[d] - 1) * operand.strides[d];
  }
  if (operand.type == torch::kBFloat16) {
    precision = layers::Precision::kBf16;
  }
  return torch::rand({std::max<int64_t>(1, elements)}, torch::TensorOptions(device))
      .to(layers::TypeOfTorch(precision, device))
      .as_strided(operand.sizes, operand.strides);
}

std::function<void()> Again(const training::CountedOperator& counted, layers::Precision precision,
                            torch::Device device) {
  std::vector<torch::Tensor> operands;
  for (const Operand& operand : counted.operands) {
    operands.push_back(Make(operand, precision, device));
  }
  const auto& a = operands[0];
  const auto& b = operands[1];
  if (counted.name == "aten::convolution_backward") {
    return [=] {
      at::convolution_backward(operands[0], operands[1], operands[2], c10::nullopt, counted.stride,
                               counted.padding, counted.dilation, counted.transposed,
                               std::vector<int64_t>(counted.stride.size(), 0), 1,
                               counted.gradients);
    };
  }
  if (counted.name == "aten::convolution") {
    return [=] {
      at::convolution(a, b, {}, counted.stride, counted.padding, counted.dilation,
                      counted.transposed, std::vector<int64_t>(counted.stride.size(), 0), 1);
    };
  }
  const bool batched = a.dim() == 3;
  auto out = batched ? torch::empty({a.size(0), a.size(1), b.size(2)}, a.options())
                     : torch::empty({a.size(0), b.size(1)}, a.options());
  return [=]() mutable {
    if (batched) {
      at::bmm_out(out, a, b);
    } else {
      at::mm_out(out, a, b);
    }
  };
}

}  // namespace

double TimeProductsAlone(const std::vector<training::CountedOperator>& operators,
                         layers::Precision precision, int64_t repetitions, torch::Device device) {
  torch::NoGradGuard no_grad;
  std::vector<std::pair<training::CountedOperator, int64_t>> kinds;
  for (const auto& counted : operators) {
    const auto known =
        std::ranges::find_if(kinds, [&](const auto& kind) { return kind.first == counted; });
    if (known == kinds.end()) {
      kinds.emplace_back(counted, 1);
    } else {
      ++known->second;
    }
  }
  double seconds = 0;
  for (const auto& [counted, times] : kinds) {
    const auto run = Again(counted, precision, device);
    // Short ones several times over, so that the clock can tell.
    const auto inner = std::min<int64_t>(times, 64);
    const Timing timing = TimeRepetitions(
        [&] {
          for (int64_t i = 0; i < inner; ++i) {
            run();
          }
        },
        {.fewest = repetitions, .most = repetitions}, device);
    seconds += timing.min / static_cast<double>(inner) * static_cast<double>(times);
  }
  return seconds;
}

}  // namespace hidreamer::performance
