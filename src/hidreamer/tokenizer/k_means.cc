#include "hidreamer/tokenizer/k_means.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/nn/torch_compat.h"
#include "hidreamer/tokenizer/quantizer_kernels.h"

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

// Each thread takes a block of rows from the product to the smallest distance.
void SearchOnCpu(const torch::Tensor& rows, const torch::Tensor& centers, torch::Tensor& nearest) {
  const torch::Tensor norms = torch::empty({centers.size(0)}, centers.options());
  SquaredNorms(centers.data_ptr<float>(), centers.size(0), centers.size(1),
               norms.data_ptr<float>());
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t block = std::min(RowsOfBlock(rows.device()),
                                 std::max<int64_t>(1, (rows.size(0) + threads - 1) / threads));
  const int64_t blocks = (rows.size(0) + block - 1) / block;
  const torch::Tensor transposed = centers.t();  // (D, V)
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor scratch = torch::empty({block, centers.size(0)}, centers.options());
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, count = std::min(block, rows.size(0) - begin);
      torch::Tensor products = scratch.narrow(0, 0, count);
      torch::mm_out(products, rows.narrow(0, begin, count), transposed);
      NearestByProducts(products.data_ptr<float>(), norms.data_ptr<float>(), count, centers.size(0),
                        nearest.data_ptr<int64_t>() + begin);
    }
  });
}

}  // namespace

int64_t RowsOfBlock(torch::Device device) { return device.is_cuda() ? 1 << 16 : 512; }

torch::Tensor NearestRows(const torch::Tensor& rows, const torch::Tensor& centers) {
  HID_CHECK(rows.dim() == 2 && centers.dim() == 2 && rows.size(1) == centers.size(1),
            "rows and centers must be (N, D) and (V, D)");
  torch::NoGradGuard no_grad;
  const nn::AutocastGuard full(rows.device(), nn::Precision::kF32);
  const auto type = rows.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const torch::Tensor c = centers.to(type);
  torch::Tensor nearest = torch::empty({rows.size(0)}, rows.options().dtype(torch::kLong));
  if (rows.is_cpu() && type == torch::kFloat) {
    SearchOnCpu(rows.to(type), c.contiguous(), nearest);
    return nearest;
  }
  const nn::compat::FullPrecisionGuard exact;     // a rounded product may find another code
  const torch::Tensor norms = c.square().sum(1);  // (V)
  const torch::Tensor c_t = c.t();                // (D, V)
  const int64_t block = RowsOfBlock(rows.device());
  for (int64_t begin = 0; begin < rows.size(0); begin += block) {
    const int64_t count = std::min(block, rows.size(0) - begin);
    const torch::Tensor z = rows.narrow(0, begin, count).to(type);
    nearest.narrow(0, begin, count)
        .copy_(torch::addmm(norms, z, c_t, /*beta=*/1, /*alpha=*/-2).argmin(1));
  }
  return nearest;
}

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
    const torch::Tensor nearest = NearestRows(rows, centers);  // (N)
    const torch::Tensor sizes =
        torch::bincount(nearest, {}, count).to(rows.scalar_type()).unsqueeze(1);  // (V, 1)
    const torch::Tensor sums = torch::zeros_like(centers).index_add_(0, nearest, rows);
    centers = torch::where(sizes > 0, sums / sizes.clamp_min(1), centers);
  }
  return centers;
}

}  // namespace hidreamer::tokenizer
