#include "hidreamer/kernels/quantizer.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace hidreamer::kernels {
namespace {

// Loops are cut by where their numbers lie, neighbours being taken one by one; results must not
// differ by it, or a resumed run would not be the same to the bit.
TEST(AveragesMove, IsTheSameWhereverMemoryLies) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  for (const int64_t dim : {3, 8, 20}) {
    for (int trial = 0; trial < 300; ++trial) {
      std::vector<float> rows(static_cast<size_t>(2 * dim)), start(static_cast<size_t>(dim));
      for (auto* numbers : {&rows, &start}) {
        for (float& number : *numbers) {
          number = normal(generator);
        }
      }
      const int64_t codes[] = {0, 0};
      std::vector<std::vector<float>> results;
      for (const int64_t gap : {dim, dim + 1, int64_t{1000}}) {  // between sums and codebook
        std::vector<float> memory(static_cast<size_t>(gap + dim));
        std::copy(start.begin(), start.end(), memory.begin());
        float size = 1;
        AveragesMove({.codes = 1,
                      .dim = dim,
                      .sizes = &size,
                      .sums = memory.data(),
                      .codebook = memory.data() + gap},
                     rows.data(), codes, 2, 0.99f, 1e-5f)
            .Move(0, 1);
        results.emplace_back(memory.begin(), memory.begin() + dim);
        results.back().insert(results.back().end(), memory.begin() + gap, memory.end());
      }
      ASSERT_EQ(results[0], results[2]) << dim;
      ASSERT_EQ(results[1], results[2]) << dim;
    }
  }
}

TEST(NearestByProducts, TakesTheFirstOfEquals) {
  for (const int64_t codes : {5, 16, 40}) {
    const std::vector<float> norms(static_cast<size_t>(codes), 1.0f);
    for (int64_t best = 0; best < codes; ++best) {
      std::vector<float> products(static_cast<size_t>(codes));
      products[static_cast<size_t>(best)] = 1;
      products.back() = 1;
      int64_t nearest = -1;
      NearestByProducts(products.data(), norms.data(), 1, codes, &nearest);
      EXPECT_EQ(nearest, best) << codes;
    }
  }
}

}  // namespace
}  // namespace hidreamer::kernels
