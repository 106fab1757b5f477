#include "hidreamer/layers/decode_attention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <vector>

#include "hidreamer/kernels/attention.h"

namespace hidreamer::layers {
namespace {

bool ByLoop(const torch::Tensor& q) { return q.is_cpu() && q.scalar_type() == torch::kFloat32; }

// torch 1.13 without MKL runs one small matrix product a head: 4 times slower than this loop.
// begin_of(b): where sequence b begins.
template <class BeginOf>
torch::Tensor AttendByLoop(const torch::Tensor& q, const torch::Tensor& keys,
                           const torch::Tensor& values, const BeginOf& begin_of, int64_t end) {
  const int64_t batch = q.size(0), heads = q.size(1), d = q.size(2);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d)));
  torch::Tensor out = torch::empty({batch, heads * d}, q.options());
  const float* const k = keys.data_ptr<float>();
  const float* const v = values.data_ptr<float>();
  at::parallel_for(0, batch * heads, 8, [&](int64_t first, int64_t last) {
    std::vector<float> scores(static_cast<size_t>(end));
    for (int64_t i = first; i < last; ++i) {
      const int64_t b = i / heads, h = i % heads, begin = begin_of(b);
      const int64_t offset = b * keys.stride(0) + h * keys.stride(1) + begin * d;
      kernels::AttendOneQuery(q.data_ptr<float>() + b * q.stride(0) + h * q.stride(1), k + offset,
                              v + offset, end - begin, d, scale, scores.data(),
                              out.data_ptr<float>() + i * d);
    }
  });
  return out;
}

// By torch, over the places [begin, end); hidden (B, 1, 1, end - begin)
// bool, where defined: places that are not seen.
torch::Tensor AttendByProducts(const torch::Tensor& q, const torch::Tensor& keys,
                               const torch::Tensor& values, int64_t begin, int64_t end,
                               const torch::Tensor& hidden = {}) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
  const torch::Tensor k = keys.narrow(2, begin, end - begin);
  const torch::Tensor v = values.narrow(2, begin, end - begin);
  torch::Tensor scores = torch::matmul(q.unsqueeze(2) * scale, k.transpose(2, 3));
  if (hidden.defined()) {
    scores = scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
  }
  return torch::matmul(torch::softmax(scores, -1), v).reshape({q.size(0), q.size(1) * q.size(2)});
}

}  // namespace

torch::Tensor DecodeAttention(const torch::Tensor& q, const torch::Tensor& keys,
                              const torch::Tensor& values, int64_t begin, int64_t end) {
  if (ByLoop(q)) {
    return AttendByLoop(
        q, keys, values, [begin](int64_t) { return begin; }, end);
  }
  return AttendByProducts(q, keys, values, begin, end);
}

torch::Tensor DecodeAttention(const torch::Tensor& q, const torch::Tensor& keys,
                              const torch::Tensor& values, const torch::Tensor& begins,
                              int64_t end) {
  if (ByLoop(q)) {
    const torch::Tensor of_rows = begins.contiguous();
    const auto* const from = of_rows.data_ptr<int64_t>();
    return AttendByLoop(
        q, keys, values, [from](int64_t b) { return from[b]; }, end);
  }
  const auto hidden = torch::arange(end, begins.options()).lt(begins.view({-1, 1, 1, 1}));
  return AttendByProducts(q, keys, values, 0, end, hidden);
}

}  // namespace hidreamer::layers
