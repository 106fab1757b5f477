#include "hidreamer/layers/nearest_search.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/quantizer.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"
#include "hidreamer/training/torch_compat.h"

namespace hidreamer::layers {
namespace {

constexpr int64_t kCentersOfPiece = 64;

// Each thread takes a block of rows.
torch::Tensor SearchOnCpu(const torch::Tensor& rows, const torch::Tensor& centers) {
  torch::Tensor nearest = torch::empty({rows.size(0)}, torch::kLong);
  const NearestSearch search(centers);
  const int64_t block = RowsOfThread(rows.size(0));
  const int64_t blocks = (rows.size(0) + block - 1) / block;
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    const torch::NoGradGuard no_grad;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, count = std::min(block, rows.size(0) - begin);
      search.Find(rows.narrow(0, begin, count), nearest.data_ptr<int64_t>() + begin);
    }
  });
  search.Count(rows.size(0));
  return nearest;
}

}  // namespace

int64_t RowsOfBlock(torch::Device device) { return device.is_cuda() ? 1 << 16 : 512; }

int64_t RowsOfThread(int64_t rows) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  return std::min(RowsOfBlock(torch::kCPU), std::max<int64_t>(1, (rows + threads - 1) / threads));
}

NearestSearch::NearestSearch(const torch::Tensor& centers, Unprepared)
    : centers_(centers.detach()) {
  HID_CHECK(centers.is_cpu() && centers.scalar_type() == torch::kFloat && centers.is_contiguous(),
            "centers of another device, type or layout");
  const int64_t count = centers.size(0), dim = centers.size(1);
  if (kernels::HasBf16Kernels() && dim % 2 == 0) {
    in_bf16_.emplace(centers.data_ptr<float>(), count, dim);
  } else {
    norms_ = torch::empty({count}, torch::kFloat);
  }
}

NearestSearch::NearestSearch(const torch::Tensor& centers) : NearestSearch(centers, kUnprepared) {
  for (int64_t piece = 0; piece < pieces(); ++piece) {
    Prepare(piece);
  }
}

int64_t NearestSearch::pieces() const {
  return (centers_.size(0) + kCentersOfPiece - 1) / kCentersOfPiece;
}

void NearestSearch::Prepare(int64_t piece) {
  const int64_t dim = centers_.size(1), first = piece * kCentersOfPiece;
  const int64_t count = std::min(kCentersOfPiece, centers_.size(0) - first);
  if (in_bf16_.has_value()) {
    in_bf16_->Pack(first, count);
  } else {
    kernels::SquaredNorms(centers_.data_ptr<float>() + first * dim, count, dim,
                          norms_.data_ptr<float>() + first);
  }
}

void NearestSearch::Find(const torch::Tensor& rows, int64_t* nearest) const {
  if (in_bf16_.has_value()) {
    in_bf16_->Find(rows.data_ptr<float>(), rows.size(0), nearest);
    return;
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor products = torch::mm(rows, centers_.t());  // (n, V)
  kernels::NearestByProducts(products.data_ptr<float>(), norms_.data_ptr<float>(), rows.size(0),
                             centers_.size(0), nearest);
}

void NearestSearch::Count(int64_t rows) const {
  if (in_bf16_.has_value()) {
    training::CountProduct(rows, centers_.size(1), centers_.size(0), torch::kBFloat16);
  }
}

torch::Tensor NearestRows(const torch::Tensor& rows, const torch::Tensor& centers) {
  HID_CHECK(rows.dim() == 2 && centers.dim() == 2 && rows.size(1) == centers.size(1),
            "rows and centers must be (N, D) and (V, D)");
  torch::NoGradGuard no_grad;
  const AutocastGuard full(rows.device(), Precision::kF32);
  const auto type = rows.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const torch::Tensor c = centers.to(type);
  if (rows.is_cpu() && type == torch::kFloat) {
    return SearchOnCpu(rows.to(type).contiguous(), c.contiguous());
  }
  torch::Tensor nearest = torch::empty({rows.size(0)}, rows.options().dtype(torch::kLong));
  const training::compat::FullPrecisionGuard exact;  // a rounded product may find another code
  const torch::Tensor norms = c.square().sum(1);     // (V)
  const torch::Tensor c_t = c.t();                   // (D, V)
  const int64_t block = RowsOfBlock(rows.device());
  for (int64_t begin = 0; begin < rows.size(0); begin += block) {
    const int64_t count = std::min(block, rows.size(0) - begin);
    const torch::Tensor z = rows.narrow(0, begin, count).to(type);
    nearest.narrow(0, begin, count)
        .copy_(torch::addmm(norms, z, c_t, /*beta=*/1, /*alpha=*/-2).argmin(1));
  }
  return nearest;
}

}  // namespace hidreamer::layers
