#include "hidreamer/encoder/info_nce.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hidreamer::encoder {
namespace {

torch::Tensor UnitRows(int64_t rows, int64_t dim) {
  return torch::nn::functional::normalize(torch::randn({rows, dim}, torch::kDouble));
}

TEST(InBatchInfoNce, IsTheNegativeLogShareOfThePositive) {
  torch::manual_seed(1);
  for (const int64_t rows : {2, 6}) {
    const torch::Tensor a = UnitRows(rows, 5), p = UnitRows(rows, 5);
    double expected = 0;
    for (int64_t i = 0; i < rows; ++i) {
      double all = 0;
      for (int64_t j = 0; j < rows; ++j) {
        all += std::exp((a[i] * p[j]).sum().item<double>() / 0.1);
      }
      expected -= std::log(std::exp((a[i] * p[i]).sum().item<double>() / 0.1) / all);
    }
    EXPECT_NEAR(InBatchInfoNce(a, p, {}, 0.1).loss.item<double>(),
                expected / static_cast<double>(rows), 1e-9);
  }
}

TEST(InBatchInfoNce, ExcludedRowsAreNoNegatives) {
  torch::manual_seed(2);
  const torch::Tensor a = UnitRows(3, 5), p = UnitRows(3, 5);
  torch::Tensor excluded = torch::eye(3, torch::kBool);
  excluded[0][1] = excluded[0][2] = true;  // anchor 0 has no negative left
  const torch::Tensor anchor = a.clone().requires_grad_();
  InBatchInfoNce(anchor, p, excluded, 0.1).loss.backward();
  EXPECT_NEAR(anchor.grad()[0].abs().sum().item<double>(), 0, 1e-12);
  EXPECT_GT(anchor.grad()[1].abs().sum().item<double>(), 1e-6);
  // All negatives of all rows excluded: nothing to tell apart.
  const InfoNceOutput none = InBatchInfoNce(a, p, torch::ones({3, 3}, torch::kBool), 0.1);
  EXPECT_NEAR(none.loss.item<double>(), 0, 1e-12);
}

TEST(InBatchInfoNce, CountsAnchorsNearestToTheirOwn) {
  const torch::Tensor a = torch::eye(4, torch::kDouble);
  EXPECT_EQ(InBatchInfoNce(a, a, {}, 0.1).accuracy.item<double>(), 1);
  EXPECT_EQ(InBatchInfoNce(a, a.roll(1, 0), {}, 0.1).accuracy.item<double>(), 0);
}

TEST(OneNegativeInfoNce, IsTheReferencesFormula) {
  torch::manual_seed(3);
  const torch::Tensor a = UnitRows(6, 5), p = UnitRows(6, 5), n = UnitRows(6, 5);
  const torch::Tensor ep = ((a * p).sum(1) / 0.1).exp(), en = ((a * n).sum(1) / 0.1).exp();
  EXPECT_NEAR(OneNegativeInfoNce(a, p, n, 0.1).loss.item<double>(),
              -(ep / (ep + en)).log().mean().item<double>(), 1e-9);
  EXPECT_EQ(OneNegativeInfoNce(a, a, n, 0.1).accuracy.item<double>(), 1);
}

TEST(OneNegativeInfoNce, StaysFiniteWhereTheQuotientOverflows) {
  const torch::Tensor a = torch::eye(2);
  EXPECT_NEAR(OneNegativeInfoNce(a, -a, a, 0.001).loss.item<double>(), 2000, 1e-2);
}

}  // namespace
}  // namespace hidreamer::encoder
