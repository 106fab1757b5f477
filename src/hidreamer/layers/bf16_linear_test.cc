#include "hidreamer/layers/bf16_linear.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "hidreamer/kernels/gemm.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/layers/relative_error.h"

namespace hidreamer::layers {
namespace {

torch::Tensor Rounded(const torch::Tensor& x) { return x.to(torch::kBFloat16).to(torch::kDouble); }

class Bf16LinearTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernels::HasBf16Kernels()) {
      GTEST_SKIP() << "no bf16 instructions on this processor";
    }
    torch::manual_seed(1);
  }
};

struct Problem {
  Problem(int64_t rows, int64_t inner, int64_t outputs)
      : x(torch::randn({rows, inner}).set_requires_grad(true)),
        weight(torch::randn({outputs, inner}).set_requires_grad(true)),
        bias(torch::randn({outputs}).set_requires_grad(true)),
        upstream(torch::randn({rows, outputs}).to(torch::kBFloat16)) {}

  // Output and gradients, which are taken away.
  std::vector<torch::Tensor> Differentiate(bool biased) const {
    const torch::Tensor out = Bf16Linear(x, weight, biased ? bias : torch::Tensor());
    out.backward(upstream);
    std::vector<torch::Tensor> results = {out.detach()};
    for (const torch::Tensor* of : {&x, &weight, &bias}) {
      if (of->grad().defined()) {
        results.push_back(of->grad().clone());
      }
      of->mutable_grad() = torch::Tensor();
    }
    return results;
  }

  torch::Tensor x, weight, bias, upstream;
};

// Rows that fill neither tiles nor pairs nor blocks; several blocks both ways; one panel.
TEST_F(Bf16LinearTest, AgreesWithDoublePrecision) {
  for (const auto& [rows, inner, outputs] : {std::tuple{int64_t{301}, int64_t{448}, int64_t{224}},
                                             std::tuple{int64_t{256}, int64_t{32}, int64_t{32}},
                                             std::tuple{int64_t{515}, int64_t{96}, int64_t{416}}}) {
    const Problem problem(rows, inner, outputs);
    const torch::Tensor x = Rounded(problem.x.detach()), weight = Rounded(problem.weight.detach()),
                        upstream = Rounded(problem.upstream);
    for (const bool biased : {false, true}) {
      const auto found = problem.Differentiate(biased);
      ASSERT_EQ(found.size(), biased ? 4u : 3u);
      const torch::Tensor product = x.mm(weight.t());
      // The rounding of a result to bf16 is 2^-9 of it at most; f32 sums are far closer.
      EXPECT_LT(RelativeError(found[0], biased ? product + problem.bias.detach() : product), 3e-3);
      EXPECT_LT(RelativeError(found[1], upstream.mm(weight)), 3e-3);
      // In fixed point numbers move by .3 units, of which a column of 256 rows has 2^15.
      EXPECT_LT(RelativeError(found[2], upstream.t().mm(x)), kernels::InFixedPoint() ? 3e-4 : 1e-6);
      if (biased) {
        EXPECT_LT(RelativeError(found[3], upstream.sum(0)), 1e-6);
      }
    }
  }
}

TEST_F(Bf16LinearTest, DoesNotDependOnTheThreads) {
  const Problem problem(700, 800, 416);
  const int before = torch::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int threads : {1, 2, 5}) {
    torch::set_num_threads(threads);
    results.push_back(problem.Differentiate(/*biased=*/true));
  }
  torch::set_num_threads(before);
  for (const auto& result : results) {
    for (size_t i = 0; i < result.size(); ++i) {
      EXPECT_TRUE(torch::equal(result[i], results[0][i])) << i;
    }
  }
}

TEST_F(Bf16LinearTest, GivesOnlyTheGradientsThatAreAskedFor) {
  Problem problem(300, 64, 64);
  problem.x.set_requires_grad(false);
  EXPECT_EQ(problem.Differentiate(/*biased=*/true).size(), 3u);
  problem.x.set_requires_grad(true);
  problem.weight.set_requires_grad(false);
  const auto of_bias = problem.Differentiate(/*biased=*/true);
  ASSERT_EQ(of_bias.size(), 3u);
  EXPECT_LT(RelativeError(of_bias[2], Rounded(problem.upstream).sum(0)), 1e-6);
  problem.bias.set_requires_grad(false);
  EXPECT_EQ(problem.Differentiate(/*biased=*/true).size(), 2u);
}

TEST_F(Bf16LinearTest, IsForManyRowsUnderAutocastWithGradients) {
  const Problem problem(256, 64, 64);
  EXPECT_FALSE(HasBf16Linear(problem.x, problem.weight));
  const AutocastGuard autocast(Precision::kBf16);
  EXPECT_TRUE(HasBf16Linear(problem.x, problem.weight));
  EXPECT_FALSE(HasBf16Linear(problem.x.narrow(0, 0, 255), problem.weight));
  EXPECT_FALSE(HasBf16Linear(problem.x, torch::randn({40, 64})));
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(HasBf16Linear(problem.x, problem.weight));
}

}  // namespace
}  // namespace hidreamer::layers
