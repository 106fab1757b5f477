#include "hidreamer/tokenizer/k_means.h"

#include <algorithm>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/nearest_search.h"

namespace hidreamer::tokenizer {
namespace {

// Squared distances of all rows from one of them: (N).
torch::Tensor SquaredDistances(const torch::Tensor& rows, int64_t from) {
  return (rows - rows[from]).square_().sum(1);
}

// Index drawn with probability proportional to weights (N) f32; uniform where all are 0.
int64_t DrawByWeight(const torch::Tensor& weights, Rng& rng) {
  const torch::Tensor cumulative = weights.to(torch::kCPU, torch::kDouble).cumsum(0);
  const auto* sums = cumulative.data_ptr<double>();
  const int64_t count = cumulative.size(0);
  const double total = sums[count - 1];
  if (!(total > 0)) {
    return rng.UniformInt(count);
  }
  const double target = rng.Uniform() * total;
  return std::min<int64_t>(std::upper_bound(sums, sums + count, target) - sums, count - 1);
}

}  // namespace

torch::Tensor KMeansPlusPlus(const torch::Tensor& rows, int64_t count, Rng& rng) {
  HID_CHECK(rows.dim() == 2 && rows.size(0) >= 1 && count >= 1, "{} rows, {} centers", rows.size(0),
            count);
  torch::NoGradGuard no_grad;
  std::vector<int64_t> chosen = {rng.UniformInt(rows.size(0))};
  torch::Tensor distances = SquaredDistances(rows, chosen.back());  // (N) to the nearest chosen
  while (static_cast<int64_t>(chosen.size()) < count) {
    chosen.push_back(DrawByWeight(distances, rng));
    distances = torch::minimum(distances, SquaredDistances(rows, chosen.back()));
  }
  return rows.index_select(0, torch::tensor(chosen, torch::kLong).to(rows.device()));
}

torch::Tensor KMeans(const torch::Tensor& rows, int64_t count, int64_t iterations, Rng& rng) {
  torch::NoGradGuard no_grad;
  torch::Tensor centers = KMeansPlusPlus(rows, count, rng);  // (V, D)
  for (int64_t i = 0; i < iterations; ++i) {
    const torch::Tensor nearest = layers::NearestRows(rows, centers);  // (N)
    const torch::Tensor sizes =
        torch::bincount(nearest, {}, count).to(rows.scalar_type()).unsqueeze(1);  // (V, 1)
    const torch::Tensor sums = torch::zeros_like(centers).index_add_(0, nearest, rows);
    centers = torch::where(sizes > 0, sums / sizes.clamp_min(1), centers);
  }
  return centers;
}

}  // namespace hidreamer::tokenizer
