#include "hidreamer/base/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace hidreamer {
namespace {

TEST(SeedTree, StreamsDependOnRootNameAndIndexAlone) {
  std::set<uint64_t> seen;
  for (const uint64_t root : {0, 1}) {
    for (const char* name : {"env/0", "env/1", "encoder"}) {
      for (const uint64_t index : {0, 1, 2}) {
        seen.insert(SeedTree(root).Stream(name, index));
        EXPECT_EQ(SeedTree(root).Stream(name, index), SeedTree(root).Stream(name, index));
      }
    }
  }
  EXPECT_EQ(seen.size(), 18u);
}

TEST(Rng, DrawsAreFixedForever) {
  Rng rng(1);
  EXPECT_EQ(rng.Next(), 12966619160104079557ULL);
  EXPECT_EQ(rng.Next(), 9600361134598540522ULL);
}

TEST(Rng, UniformIntIsInRangeAndFlat) {
  Rng rng(3);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) {
    ++counts[static_cast<size_t>(rng.UniformInt(7))];
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 10000, 500);
  }
}

TEST(Rng, PermutationHoldsEachIndexOnce) {
  std::vector<int64_t> order = Rng(5).Permutation(1000);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(order[static_cast<size_t>(i)], i);
  }
}

}  // namespace
}  // namespace hidreamer
