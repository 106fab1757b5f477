#include "hidreamer/tokenizer/k_means.h"

#include <gtest/gtest.h>

#include <set>

#include "hidreamer/layers/nearest_search.h"

namespace hidreamer::tokenizer {
namespace {

torch::Tensor Clusters(int64_t clusters, int64_t rows_each, int64_t dim) {
  torch::manual_seed(3);
  const torch::Tensor centers = torch::randn({clusters, dim}) * 10;
  return (centers.repeat({rows_each, 1}) + torch::randn({clusters * rows_each, dim}) * 0.01);
}

TEST(KMeansPlusPlus, TakesOneRowOfEachFarCluster) {
  const torch::Tensor rows = Clusters(20, 30, 16);
  Rng rng(5);
  const torch::Tensor seeds = KMeansPlusPlus(rows, 20, rng);
  const torch::Tensor owner = layers::NearestRows(rows, seeds);
  EXPECT_EQ(torch::bincount(owner, {}, 20).eq(30).sum().item<int64_t>(), 20);
}

TEST(KMeansPlusPlus, RepeatsRowsOnlyWhenTheyRunOut) {
  const torch::Tensor rows = torch::eye(3);
  Rng rng(5);
  const torch::Tensor seeds = KMeansPlusPlus(rows, 5, rng);
  EXPECT_EQ(seeds.size(0), 5);
  EXPECT_EQ(seeds.sum(0).gt(0).sum().item<int64_t>(), 3);
}

TEST(KMeans, MovesCentersToTheMeansOfTheirRows) {
  const torch::Tensor rows = Clusters(8, 50, 4);
  Rng rng(1);
  const torch::Tensor centers = KMeans(rows, 8, 3, rng);
  const torch::Tensor owner = layers::NearestRows(rows, centers);
  for (int64_t k = 0; k < 8; ++k) {
    const torch::Tensor mine = rows.index_select(0, owner.eq(k).nonzero().flatten());
    ASSERT_EQ(mine.size(0), 50);
    EXPECT_TRUE(torch::allclose(mine.mean(0), centers[k], 1e-4, 1e-4));
  }
}

TEST(KMeans, SameSeedGivesSameBits) {
  const torch::Tensor rows = Clusters(8, 50, 4);
  Rng a(9), b(9), c(10);
  const torch::Tensor first = KMeans(rows, 5, 2, a);
  EXPECT_TRUE(first.equal(KMeans(rows, 5, 2, b)));
  EXPECT_FALSE(first.equal(KMeans(rows, 5, 2, c)));
}

}  // namespace
}  // namespace hidreamer::tokenizer
