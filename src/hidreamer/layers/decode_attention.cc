#include "hidreamer/layers/decode_attention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "hidreamer/kernels/attention.h"

namespace hidreamer::layers {

torch::Tensor DecodeAttention(const torch::Tensor& q, const torch::Tensor& keys,
                              const torch::Tensor& values, int64_t begin, int64_t end) {
  const int64_t batch = q.size(0), heads = q.size(1), d = q.size(2), n = end - begin;
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  if (!q.is_cpu() || q.scalar_type() != torch::kFloat32) {
    const torch::Tensor k = keys.narrow(2, begin, n), v = values.narrow(2, begin, n);
    const torch::Tensor scores = torch::matmul(q.unsqueeze(2) * scale, k.transpose(2, 3));
    return torch::matmul(torch::softmax(scores, -1), v).reshape({batch, heads * d});
  }
  // torch 1.13 without MKL runs one small matrix product a head: 4 times slower than this loop.
  torch::Tensor out = torch::empty({batch, heads * d}, q.options());
  const float* const k = keys.data_ptr<float>();
  const float* const v = values.data_ptr<float>();
  at::parallel_for(0, batch * heads, 8, [&](int64_t first, int64_t last) {
    std::vector<float> scores(static_cast<size_t>(n));
    for (int64_t i = first; i < last; ++i) {
      const int64_t b = i / heads, h = i % heads;
      const int64_t offset = b * keys.stride(0) + h * keys.stride(1) + begin * d;
      kernels::AttendOneQuery(q.data_ptr<float>() + b * q.stride(0) + h * q.stride(1), k + offset,
                              v + offset, n, d, static_cast<float>(scale), scores.data(),
                              out.data_ptr<float>() + i * d);
    }
  });
  return out;
}

}  // namespace hidreamer::layers
