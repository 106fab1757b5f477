#include "hidreamer/layers/attention.h"

#include <gtest/gtest.h>

namespace hidreamer::layers {
namespace {

torch::Tensor Ramp(torch::IntArrayRef shape, double phase) {
  return torch::sin(torch::arange(c10::multiply_integers(shape)).to(torch::kFloat32) * 0.7 + phase)
      .reshape(shape);
}

class AttentionShapes : public testing::TestWithParam<std::array<int64_t, 5>> {};

TEST_P(AttentionShapes, MatchesTheFormulaRowByRow) {
  const auto [batch, heads, queries, keys, width] = GetParam();
  const torch::Tensor q = Ramp({batch, heads, queries, width}, 0);
  const torch::Tensor k = Ramp({batch, heads, keys, width}, 1);
  const torch::Tensor v = Ramp({batch, heads, keys, width}, 2);
  const torch::Tensor mask = torch::ones({queries, keys}, torch::kBool)
                                 .tril(keys - queries);  // causal, aligned at the end
  const torch::Tensor result = Attention(q, k, v, mask);
  ASSERT_EQ(result.sizes(), (std::vector<int64_t>{batch, heads, queries, width}));
  for (int64_t i = 0; i < queries; ++i) {
    const int64_t seen = keys - queries + i + 1;
    const torch::Tensor scores =
        torch::matmul(q[0][0][i], k[0][0].narrow(0, 0, seen).t()) / std::sqrt(double(width));
    const torch::Tensor expected =
        torch::matmul(torch::softmax(scores, 0), v[0][0].narrow(0, 0, seen));
    EXPECT_TRUE(torch::allclose(result[0][0][i], expected, 1e-5, 1e-6)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, AttentionShapes,
                         testing::Values(std::array<int64_t, 5>{1, 2, 4, 4, 8},
                                         std::array<int64_t, 5>{3, 1, 2, 7, 5}));

TEST(Attention, MaskedKeysHaveNoInfluence) {
  const torch::Tensor q = Ramp({1, 1, 3, 4}, 0), v = Ramp({1, 1, 3, 4}, 2);
  torch::Tensor k = Ramp({1, 1, 3, 4}, 1);
  const torch::Tensor mask = torch::ones({3, 3}, torch::kBool).tril();
  const torch::Tensor before = Attention(q, k, v, mask);
  torch::Tensor other = v.clone();
  k[0][0][2] += 5;
  other[0][0][2] += 5;
  const torch::Tensor after = Attention(q, k, other, mask);
  EXPECT_TRUE(torch::equal(before.narrow(2, 0, 2), after.narrow(2, 0, 2)));
  EXPECT_FALSE(torch::allclose(before[0][0][2], after[0][0][2]));
}

TEST(Attention, GradientsReachAllInputs) {
  torch::Tensor q = Ramp({1, 2, 3, 4}, 0).requires_grad_();
  torch::Tensor k = Ramp({1, 2, 3, 4}, 1).requires_grad_();
  torch::Tensor v = Ramp({1, 2, 3, 4}, 2).requires_grad_();
  Attention(q, k, v).pow(2).sum().backward();
  for (const torch::Tensor& input : {q, k, v}) {
    EXPECT_GT(input.grad().abs().max().item<float>(), 0);
  }
}

TEST(Attention, DropsWeightsInTrainingOnly) {
  const torch::Tensor q = Ramp({1, 1, 8, 4}, 0), k = Ramp({1, 1, 8, 4}, 1);
  const torch::Tensor v = torch::ones({1, 1, 8, 4});
  EXPECT_TRUE(torch::allclose(Attention(q, k, v, {}, 0.5, false), v));
  torch::manual_seed(1);
  const torch::Tensor dropped = Attention(q, k, v, {}, 0.5, true);
  EXPECT_FALSE(torch::allclose(dropped, v));
  torch::manual_seed(1);
  EXPECT_TRUE(torch::equal(dropped, Attention(q, k, v, {}, 0.5, true)));
}

}  // namespace
}  // namespace hidreamer::layers
