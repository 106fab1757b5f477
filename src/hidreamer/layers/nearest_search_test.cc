#include "hidreamer/layers/nearest_search.h"

#include <gtest/gtest.h>

namespace hidreamer::layers {
namespace {

TEST(NearestRows, AgreesWithDistancesInDoublePrecision) {
  torch::manual_seed(1);
  for (const int64_t rows : {7, 2500}) {  // less than a block; two blocks and a bit
    const torch::Tensor z = torch::randn({rows, 24});
    const torch::Tensor centers = torch::randn({50, 24});
    const torch::Tensor exact = torch::cdist(z.to(torch::kDouble), centers.to(torch::kDouble), 2,
                                             /*compute_mode=*/2);
    EXPECT_TRUE(NearestRows(z, centers).equal(exact.argmin(1)));
  }
}

TEST(NearestRows, DoesNotDependOnTheOtherRows) {
  torch::manual_seed(2);
  const torch::Tensor z = torch::randn({3000, 384}) * 0.05;
  const torch::Tensor centers = torch::randn({256, 384}) * 0.05;
  const torch::Tensor all = NearestRows(z, centers);
  const torch::Tensor unblocked =
      torch::addmm(centers.square().sum(1), z, centers.t(), 1, -2).argmin(1);
  EXPECT_TRUE(all.equal(unblocked));
  EXPECT_TRUE(all.narrow(0, 700, 900).equal(NearestRows(z.narrow(0, 700, 900), centers)));
}

// Differences that bf16 does not see: every one of 16 centers lies a few 2^-12 from the others.
TEST(NearestRows, FindsTheNearestOfCentersThatBf16CannotTellApart) {
  torch::manual_seed(4);
  const torch::Tensor middle = torch::nn::functional::normalize(
      torch::randn({16, 1, 384}), torch::nn::functional::NormalizeFuncOptions().dim(2));
  const torch::Tensor centers =
      (middle + torch::randn({16, 16, 384}) * 0x1p-12).view({256, 384}).contiguous();
  const torch::Tensor z =
      (centers.repeat({4, 1}) + torch::randn({1024, 384}) * 0x1p-14).contiguous();
  const torch::Tensor exact =
      torch::cdist(z.to(torch::kDouble), centers.to(torch::kDouble), 2, /*compute_mode=*/2);
  EXPECT_TRUE(NearestRows(z, centers).equal(exact.argmin(1)));
}

TEST(NearestRows, TakesOneOfEqualCenters) {
  torch::manual_seed(5);
  const torch::Tensor z = torch::cat({torch::randn({100, 34}), torch::zeros({3, 34})});
  const torch::Tensor once = torch::randn({20, 34});
  const torch::Tensor exact = torch::cdist(z.to(torch::kDouble), once.to(torch::kDouble), 2,
                                           /*compute_mode=*/2);
  EXPECT_TRUE(NearestRows(z, once.repeat({3, 1})).remainder(20).equal(exact.argmin(1)));
}

}  // namespace
}  // namespace hidreamer::layers
