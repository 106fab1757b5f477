#include <cmath>
#include <vector>

#include "hidreamer/kernels/attention.h"
#include "hidreamer/layers/attention.h"
#include "hidreamer/layers/decode_attention.h"
#include "hidreamer/layers/transformer.h"
#include "hidreamer/world_model/mask.h"
#include "quality.h"

namespace hidreamer::benchmarks {
namespace {

constexpr int64_t kHeads = 6, kHeadWidth = 64, kWidth = kHeads * kHeadWidth;

// softmax(q k' / sqrt(d)) v in double precision; mask bool or undefined.
torch::Tensor Exact(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                    const torch::Tensor& mask = {}) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  torch::Tensor scores =
      torch::matmul(q.to(torch::kDouble) * scale, k.to(torch::kDouble).transpose(-2, -1));
  if (mask.defined()) {
    scores = scores.masked_fill(mask.logical_not(), -INFINITY);
  }
  return torch::matmul(torch::softmax(scores, -1), v.to(torch::kDouble));
}

void OneQuery(benchmark::State& state) {
  const int64_t places = state.range(0);
  torch::manual_seed(1);
  const torch::Tensor q = torch::randn({1, kHeadWidth});
  const torch::Tensor k = torch::randn({places, kHeadWidth}),
                      v = torch::randn({places, kHeadWidth});
  torch::Tensor out = torch::empty({1, kHeadWidth});
  std::vector<float> scores(static_cast<size_t>(places));
  const float scale = 1 / std::sqrt(static_cast<float>(kHeadWidth));
  for (auto _ : state) {
    kernels::AttendOneQuery(q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), places,
                            kHeadWidth, scale, scores.data(), out.data_ptr<float>());
    benchmark::ClobberMemory();
  }
  CountError(state, out, Exact(q, k, v));
}
BENCHMARK(OneQuery)->Arg(32)->Arg(128)->Arg(256);

void DecodeAttention(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const int64_t batch = state.range(0), places = state.range(1);
  torch::manual_seed(1);
  const torch::Tensor q = torch::randn({batch, kHeads, kHeadWidth});
  const torch::Tensor k = torch::randn({batch, kHeads, places, kHeadWidth});
  const torch::Tensor v = torch::randn({batch, kHeads, places, kHeadWidth});
  torch::Tensor out;
  for (auto _ : state) {
    out = layers::DecodeAttention(q, k, v, 0, places);
  }
  CountError(state, out, Exact(q.unsqueeze(2), k, v).reshape({batch, kWidth}));
}
BENCHMARK(DecodeAttention)->Args({32, 64})->Args({32, 128});

// A whole sequence under the world model's mask, without dropout.
void MaskedAttention(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const int64_t batch = state.range(0), positions = state.range(1);
  torch::manual_seed(1);
  const torch::Tensor mask = world_model::AttentionMask(
      {.levels = 3, .codes = 256, .actions = 9}, world_model::MaskKind::kReference, positions);
  const auto pattern = layers::MakeAttentionPattern(mask);
  layers::SelfAttention attention(kWidth, kHeads, 0.0);
  const torch::Tensor qkv = torch::randn({batch, positions, 3 * kWidth});
  torch::Tensor out;
  for (auto _ : state) {
    out = attention->Attend(qkv, pattern);
  }
  const torch::Tensor split =
      qkv.view({batch, positions, 3, kHeads, kHeadWidth}).permute({2, 0, 3, 1, 4});
  CountError(state, out,
             Exact(split[0], split[1], split[2], mask).transpose(1, 2).reshape(out.sizes()));
}
BENCHMARK(MaskedAttention)->Args({4, 64})->Args({8, 256})->Unit(benchmark::kMillisecond);

void GenericAttention(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const int64_t batch = state.range(0), positions = state.range(1);
  torch::manual_seed(1);
  const torch::Tensor q = torch::randn({batch, kHeads, positions, kHeadWidth});
  const torch::Tensor k = torch::randn_like(q), v = torch::randn_like(q);
  const torch::Tensor mask = torch::ones({positions, positions}, torch::kBool).tril();
  torch::Tensor out;
  for (auto _ : state) {
    out = layers::Attention(q, k, v, mask);
  }
  CountError(state, out, Exact(q, k, v, mask));
}
BENCHMARK(GenericAttention)->Args({8, 64})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hidreamer::benchmarks
