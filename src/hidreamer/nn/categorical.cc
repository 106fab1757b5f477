#include "hidreamer/nn/categorical.h"

#include <utility>

#include "hidreamer/nn/device.h"

namespace hidreamer::nn {

torch::Tensor CategoryAt(const torch::Tensor& probabilities, const torch::Tensor& uniforms) {
  const auto cumulative = probabilities.to(torch::kFloat64).cumsum(-1);  // (..., V)
  const auto total = cumulative.select(-1, cumulative.size(-1) - 1);     // (...)
  const auto threshold = (uniforms.to(torch::kFloat64) * total).unsqueeze(-1);
  return (cumulative <= threshold).sum(-1).clamp_max(cumulative.size(-1) - 1);
}

torch::Tensor SampleCategory(const torch::Tensor& probabilities, at::Generator generator) {
  auto shape = probabilities.sizes().vec();
  shape.pop_back();
  const auto uniforms = torch::rand(shape, std::move(generator), torch::kFloat64);
  return CategoryAt(probabilities, ToDevice(uniforms, probabilities.device()));
}

}  // namespace hidreamer::nn
