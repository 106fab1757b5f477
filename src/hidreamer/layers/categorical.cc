#include "hidreamer/layers/categorical.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/categorical.h"

namespace hidreamer::layers {

torch::Tensor CategoryAt(const torch::Tensor& probabilities, const torch::Tensor& uniforms) {
  const auto cumulative = probabilities.to(torch::kFloat64).cumsum(-1);  // (..., V)
  const auto total = cumulative.select(-1, cumulative.size(-1) - 1);     // (...)
  const auto threshold = (uniforms.to(torch::kFloat64) * total).unsqueeze(-1);
  return (cumulative <= threshold).sum(-1).clamp_max(cumulative.size(-1) - 1);
}

torch::Tensor CategoryOfLogits(const torch::Tensor& logits, double temperature,
                               const torch::Tensor& uniforms) {
  if (!logits.is_cpu()) {
    return CategoryAt(torch::softmax(logits / temperature, -1), uniforms);
  }
  const torch::Tensor rows = logits.to(torch::kFloat32).contiguous();
  const torch::Tensor draws = uniforms.to(torch::kFloat64).contiguous();
  const int64_t categories = rows.size(-1), count = rows.numel() / categories;
  HID_CHECK(draws.numel() == count, "{} uniforms for {} rows", draws.numel(), count);
  torch::Tensor chosen = torch::empty(uniforms.sizes(), torch::kLong);
  constexpr int64_t kGrain = 1 << 14;  // exponentials worth a thread
  at::parallel_for(
      0, count, std::max<int64_t>(1, kGrain / categories), [&](int64_t begin, int64_t end) {
        std::vector<float> scratch(static_cast<size_t>(categories));
        kernels::CategoriesOfLogits(rows.data_ptr<float>() + begin * categories, end - begin,
                                    categories, static_cast<float>(temperature),
                                    draws.data_ptr<double>() + begin,
                                    chosen.data_ptr<int64_t>() + begin, scratch.data());
      });
  return chosen;
}

}  // namespace hidreamer::layers
