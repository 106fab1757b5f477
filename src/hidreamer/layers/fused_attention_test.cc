#include "hidreamer/layers/fused_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/relative_error.h"
#include "hidreamer/layers/transformer.h"

namespace hidreamer::layers {
namespace {

// 0 or -infinity: keys up to the query, of earlier groups of four mostly the first and the last.
torch::Tensor Additive(int64_t positions) {
  const torch::Tensor key = torch::arange(positions), query = key.unsqueeze(1);
  const torch::Tensor same_four = query.div(4, "floor").eq(key.div(4, "floor"));
  const torch::Tensor sees =
      same_four | query.remainder(4).eq(0) | key.remainder(4).eq(0) | key.remainder(4).eq(3);
  return MakeAttentionPattern(key.le(query) & sees).additive;
}

struct Result {
  torch::Tensor output, gradient;
};
template <typename Attention>
Result Differentiate(Attention attention, const torch::Tensor& values,
                     const torch::Tensor& additive, int64_t heads, const torch::Tensor& upstream) {
  const torch::Tensor qkv = values.clone().requires_grad_();
  const torch::Tensor output = attention(qkv, additive, heads, 0.0);
  output.backward(upstream);
  return {output.detach(), qkv.grad()};
}

// Lengths below, at and above a block of queries, and a head width that no vector divides.
TEST(FusedAttention, EqualsTheDefinitionWithItsGradient) {
  torch::manual_seed(1);
  for (const auto& [positions, heads, head_width] :
       {std::tuple{int64_t{7}, int64_t{2}, int64_t{5}},
        std::tuple{int64_t{128}, int64_t{3}, int64_t{16}},
        std::tuple{int64_t{256}, int64_t{2}, int64_t{64}},
        std::tuple{int64_t{300}, int64_t{1}, int64_t{24}}}) {
    const torch::Tensor qkv = torch::randn({2, positions, 3 * heads * head_width}) * 2;
    const torch::Tensor upstream = torch::randn({2, positions, heads * head_width});
    const torch::Tensor additive = Additive(positions);
    const Result fused = Differentiate(FusedAttention, qkv, additive, heads, upstream);
    const Result plain = Differentiate(PlainAttention, qkv, additive, heads, upstream);
    EXPECT_TRUE(torch::allclose(fused.output, plain.output, 1e-4, 1e-5)) << positions;
    EXPECT_TRUE(torch::allclose(fused.gradient, plain.gradient, 1e-4, 1e-5)) << positions;
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(torch::equal(FusedAttention(qkv, additive, heads, 0.0), fused.output)) << positions;
  }
}

// Against f32 on the same rounded numbers: bf16 has 8 bits. Odd lengths leave half a pair.
TEST(FusedAttention, AgreesInBf16WithTheDefinition) {
  if (!kernels::HasBf16Kernels()) {
    GTEST_SKIP() << "no bf16 products on this processor";
  }
  torch::manual_seed(1);
  for (const auto& [positions, heads, head_width] :
       {std::tuple{int64_t{1}, int64_t{2}, int64_t{32}},
        std::tuple{int64_t{63}, int64_t{3}, int64_t{32}},
        std::tuple{int64_t{256}, int64_t{2}, int64_t{64}},
        std::tuple{int64_t{300}, int64_t{1}, int64_t{96}}}) {
    const torch::Tensor qkv =
        torch::randn({2, positions, 3 * heads * head_width}).to(torch::kBFloat16);
    const torch::Tensor upstream =
        torch::randn({2, positions, heads * head_width}).to(torch::kBFloat16);
    const torch::Tensor additive = Additive(positions);
    const Result fused = Differentiate(FusedAttention, qkv, additive, heads, upstream);
    const Result plain = Differentiate(PlainAttention, qkv.to(torch::kFloat32), additive, heads,
                                       upstream.to(torch::kFloat32));
    EXPECT_EQ(fused.output.scalar_type(), torch::kBFloat16);
    EXPECT_LT(RelativeError(fused.output, plain.output), 0.005) << positions;
    EXPECT_LT(RelativeError(fused.gradient, plain.gradient), 0.007) << positions;
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(torch::equal(FusedAttention(qkv, additive, heads, 0.0), fused.output)) << positions;
  }
}

TEST(FusedAttention, GivesTheBiasItsGradient) {
  if (!kernels::HasBf16Kernels()) {
    GTEST_SKIP() << "no bf16 products on this processor";
  }
  torch::manual_seed(1);
  constexpr int64_t kPositions = 50, kHeads = 3, kWidth = 96;
  const torch::Tensor additive = Additive(kPositions);
  const torch::Tensor qkv = torch::randn({4, kPositions, 3 * kWidth}).to(torch::kBFloat16);
  const torch::Tensor upstream = torch::randn({4, kPositions, kWidth}).to(torch::kBFloat16);
  const Result expected = Differentiate(FusedAttention, qkv, additive, kHeads, upstream);
  const torch::Tensor x = qkv.clone().requires_grad_();
  const torch::Tensor bias = torch::zeros({3 * kWidth}).requires_grad_();
  const torch::Tensor output = FusedAttentionOfBiased(x, bias, additive, kHeads, 0.0);
  output.backward(upstream);
  EXPECT_TRUE(torch::equal(output, expected.output));
  EXPECT_TRUE(torch::equal(x.grad(), expected.gradient));
  EXPECT_LT(RelativeError(bias.grad(), x.grad().to(torch::kFloat32).flatten(0, 1).sum(0)), 1e-5);
}

// With unit vectors as values the output shows the dropped weights, and so what was kept.
void CheckDroppedWeights(torch::ScalarType type, double tolerance) {
  constexpr int64_t kPositions = 160;
  constexpr double kDropout = 0.2;
  torch::manual_seed(1);
  const torch::Tensor additive = Additive(kPositions);
  const torch::Tensor qk = torch::randn({1, kPositions, 2 * kPositions}) * 0.5;
  const torch::Tensor values = torch::eye(kPositions).unsqueeze(0);
  const torch::Tensor qkv = torch::cat({qk, values}, 2).to(type);
  const torch::Tensor upstream = torch::randn({1, kPositions, kPositions}).to(type);

  const torch::Tensor fused_input = qkv.clone().requires_grad_();
  const torch::Tensor fused = FusedAttention(fused_input, additive, 1, kDropout);
  fused.backward(upstream);

  const torch::Tensor input = qkv.to(torch::kFloat32, false, /*copy=*/true).requires_grad_();
  const auto parts = input.chunk(3, 2);
  const torch::Tensor weights = torch::softmax(
      torch::bmm(parts[0], parts[1].transpose(1, 2)) / std::sqrt(double{kPositions}) + additive,
      -1);
  const torch::Tensor kept = fused.detach().gt(0).to(torch::kFloat32) / (1 - kDropout);
  const torch::Tensor expected = torch::bmm(weights * kept, parts[2]);
  expected.backward(upstream.to(torch::kFloat32));
  EXPECT_LT(RelativeError(fused, expected), tolerance);
  EXPECT_LT(RelativeError(fused_input.grad(), input.grad()), tolerance);

  const double allowed = additive.eq(0).sum().item<double>();
  const double share = 1 - kept.gt(0).sum().item<double>() / allowed;
  EXPECT_NEAR(share, kDropout, 5 * std::sqrt(kDropout * (1 - kDropout) / allowed));
}

TEST(FusedAttention, DropsWeightsInBothDirections) { CheckDroppedWeights(torch::kFloat32, 1e-5); }

TEST(FusedAttention, DropsWeightsInBothDirectionsInBf16) {
  if (!kernels::HasBf16Kernels()) {
    GTEST_SKIP() << "no bf16 products on this processor";
  }
  CheckDroppedWeights(torch::kBFloat16, 0.007);
}

void CheckThreads(torch::ScalarType type) {
  const torch::Tensor additive = Additive(64);
  const torch::Tensor qkv = torch::randn({3, 64, 3 * 128}).to(type),
                      upstream = torch::randn({3, 64, 128}).to(type);
  const int threads = torch::get_num_threads();
  std::vector<Result> results;
  for (const int count : {1, 3}) {
    torch::set_num_threads(count);
    torch::manual_seed(5);
    const torch::Tensor input = qkv.clone().requires_grad_();
    const torch::Tensor output = FusedAttention(input, additive, 4, 0.1);
    output.backward(upstream);
    results.push_back({output.detach(), input.grad()});
  }
  torch::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(results[0].output, results[1].output));
  EXPECT_TRUE(torch::equal(results[0].gradient, results[1].gradient));
}

TEST(FusedAttention, DoesNotDependOnTheThreads) {
  CheckThreads(torch::kFloat32);
  if (kernels::HasBf16Kernels()) {
    CheckThreads(torch::kBFloat16);
  }
}

}  // namespace
}  // namespace hidreamer::layers
