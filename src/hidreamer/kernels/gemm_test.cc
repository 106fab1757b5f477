#include "hidreamer/kernels/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace hidreamer::kernels {
namespace {

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) {
    number = FromBf16(ToBf16(normal(generator)));
  }
  return numbers;
}

std::vector<Bf16> Narrow(const std::vector<float>& numbers) {
  std::vector<Bf16> narrow;
  for (const float number : numbers) {
    narrow.push_back(ToBf16(number));
  }
  return narrow;
}

TEST(Bf16, RoundsToTheNearestEven) {
  EXPECT_EQ(FromBf16(ToBf16(1.0f)), 1.0f);
  EXPECT_EQ(FromBf16(ToBf16(1.0f + 1.0f / 256)), 1.0f);               // a tie, down to even
  EXPECT_EQ(FromBf16(ToBf16(1.0f + 3.0f / 256)), 1.0f + 4.0f / 256);  // a tie, up to even
  EXPECT_EQ(FromBf16(ToBf16(-1.0f - 1.1f / 256)), -1.0f - 2.0f / 256);
  EXPECT_TRUE(std::isinf(FromBf16(ToBf16(std::numeric_limits<float>::max()))));
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(std::numeric_limits<float>::quiet_NaN()))));
}

// A sum of products, and how far off a product of tiles may be: by little more than f32's rounding,
// in fixed point by what the norms of both sides allow.
class Sum {
 public:
  void Add(double a, double b) {
    sum_ += a * b;
    squares_[0] += a * a;
    squares_[1] += b * b;
    ++count_;
  }
  double sum() const { return sum_; }
  double error() const {
    return 1e-4 + double{FixedPointError(count_)} * std::sqrt(squares_[0] * squares_[1]);
  }

 private:
  double sum_ = 0, squares_[2] = {};
  int64_t count_ = 0;
};

class Bf16Products : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasBf16Kernels()) {
      GTEST_SKIP() << "no bf16 instructions on this processor";
    }
  }
};

// Row counts below, at and above a tile's, outputs that fill no panel.
TEST_F(Bf16Products, MultiplyRowsByAMatrix) {
  for (const auto& [rows, outputs, inner] : {std::tuple{int64_t{1}, int64_t{32}, int64_t{2}},
                                             std::tuple{int64_t{12}, int64_t{40}, int64_t{64}},
                                             std::tuple{int64_t{70}, int64_t{96}, int64_t{160}},
                                             std::tuple{int64_t{29}, int64_t{100}, int64_t{34}}}) {
    const auto x = Random(rows * inner, 1), weight = Random(outputs * inner, 2);
    const Bf16Matrix matrix(weight.data(), outputs, inner);
    const auto narrow = Narrow(x);
    std::vector<float> out(static_cast<size_t>(rows * outputs), NAN);
    for (const int64_t part : {0, 1, 2}) {  // together all of them
      MultiplyRows(
          narrow.data(), rows, inner, matrix, {part, 3},
          [&](int64_t begin, int64_t count, int64_t column, int64_t width, const float* tile) {
            for (int64_t r = 0; r < count; ++r) {
              std::copy_n(tile + r * kPanelOutputs, width,
                          out.data() + (begin + r) * outputs + column);
            }
          });
    }
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < outputs; ++o) {
        Sum expected;
        for (int64_t k = 0; k < inner; ++k) {
          expected.Add(double{x[static_cast<size_t>(r * inner + k)]},
                       double{weight[static_cast<size_t>(o * inner + k)]});
        }
        EXPECT_NEAR(out[static_cast<size_t>(r * outputs + o)], expected.sum(), expected.error())
            << rows << " " << o;
      }
    }
  }
}

// x x' by its rows as outputs, and x' x by its rows as the inner dimension, the left side being a
// column of pairs; 5 rows leave half a pair and most of a panel.
TEST_F(Bf16Products, PackBothWays) {
  constexpr int64_t kRows = 5, kWidth = 32, kEven = 6;
  const auto x = Random(kRows * kWidth, 3);
  const auto narrow = Narrow(x);
  Bf16Panels outputs, inner;
  std::vector<Bf16> pairs(kEven * kWidth, 1);
  outputs.PackAsOutputs(narrow.data(), kRows, kWidth, kWidth);
  inner.PackAsInner(narrow.data(), kRows, kWidth, kWidth);
  PackAsInner(narrow.data(), kRows, kWidth, kWidth, pairs.data());
  std::vector<float> scales(kWidth);
  if (InFixedPoint()) {
    FixColumns(pairs.data(), kEven / 2, kWidth, 2 * kWidth, scales.data());
  }
  const auto at = [&](int64_t r, int64_t c) {
    return double{x[static_cast<size_t>(r * kWidth + c)]};
  };
  float tile[kMostTileRows * kPanelOutputs];
  const TileScope scope;
  TileLeft left;

  left.Take(kRows, {.length = kWidth}, [&](int64_t r) { return narrow.data() + r * kWidth; });
  left.Multiply(outputs.panel(0), tile);
  for (int64_t a = 0; a < kRows; ++a) {
    for (int64_t b = 0; b < kPanelOutputs; ++b) {
      Sum expected;
      for (int64_t c = 0; c < kWidth && b < kRows; ++c) {
        expected.Add(at(a, c), at(b, c));
      }
      EXPECT_NEAR(tile[a * kPanelOutputs + b], expected.sum(), expected.error()) << a << " " << b;
    }
  }

  left.Take(TileRows(),
            {.length = kEven, .pair_stride = 2 * kPanelOutputs, .scales = scales.data()},
            [&](int64_t c) { return pairs.data() + 2 * c; });
  left.Multiply(inner.panel(0), tile);
  for (int64_t a = 0; a < TileRows(); ++a) {
    for (int64_t b = 0; b < kWidth; ++b) {
      Sum expected;
      for (int64_t r = 0; r < kRows; ++r) {
        expected.Add(at(r, a), at(r, b));
      }
      EXPECT_NEAR(tile[a * kPanelOutputs + b], expected.sum(), expected.error()) << a << " " << b;
    }
  }
}

// As the gradient of a convolution's weight takes them: columns in segments that overlap.
TEST_F(Bf16Products, AddColumnsThatLieApart) {
  constexpr int64_t kRows = 3, kPairs = 5, kSegments = 2, kCells = 8, kNext = 128, kStride = 48;
  constexpr int64_t kStep = 2 * kPanelOutputs;
  const auto left = Random(kRows * kSegments * 2 * kPairs, 4), right = Random(kCells * kStep, 5);
  const auto narrow_left = Narrow(left);
  auto narrow_right = Narrow(right);
  std::vector<float> scales(kPanelOutputs), out(kRows * kStride, 0.5f);
  if (InFixedPoint()) {
    FixColumns(narrow_right.data(), kCells, kPanelOutputs, kStep, scales.data());
  }
  const TileScope scope;
  TileLeft tile;
  tile.Take(kRows, {.length = 2 * kPairs, .segments = kSegments, .segment_stride = 2 * kPairs},
            [&](int64_t r) { return narrow_left.data() + r * kSegments * 2 * kPairs; });
  tile.AddTo({.first = narrow_right.data(),
              .step = kStep,
              .segment_stride = kNext,
              .scales = scales.data()},
             out.data(), kStride);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t j = 0; j < kStride; ++j) {
      Sum expected;
      for (int64_t i = 0; i < kSegments * kPairs * 2 && j < kPanelOutputs; ++i) {
        const int64_t segment = i / (2 * kPairs), pair = i / 2 % kPairs;
        expected.Add(
            double{left[static_cast<size_t>(r * kSegments * 2 * kPairs + i)]},
            double{right[static_cast<size_t>(segment * kNext + pair * kStep + 2 * j + i % 2)]});
      }
      EXPECT_NEAR(out[static_cast<size_t>(r * kStride + j)], 0.5 + expected.sum(),
                  2 * expected.error())
          << r << " " << j;
    }
  }
}

// Rows and columns of any size come out as exactly as others; none at all give 0, what is no
// number none.
TEST_F(Bf16Products, MultiplyWhateverTheSizesAre) {
  constexpr int64_t kInner = 64;
  auto x = Random(TileRows() * kInner, 8), weight = Random(kPanelOutputs * kInner, 9);
  const auto scale = [](std::vector<float>& numbers, int64_t row, float by) {
    for (int64_t k = 0; k < kInner; ++k) {
      float& number = numbers[static_cast<size_t>(row * kInner + k)];
      number = by == 0 ? 0 : number * by;
    }
  };
  scale(x, 0, 0x1p40f);
  scale(x, 1, 0x1p-40f);
  scale(x, 2, 0);
  scale(x, 3, NAN);
  scale(weight, 0, 0x1p-40f);
  scale(weight, 1, 0);
  scale(weight, 2, INFINITY);
  std::fill_n(x.begin() + 4 * kInner, kInner, 0.0f);
  x[static_cast<size_t>(4 * kInner + 9)] = 3;  // all of a row's norm
  const auto narrow = Narrow(x);
  const Bf16Matrix matrix(weight.data(), kPanelOutputs, kInner);
  float tile[kMostTileRows * kPanelOutputs];
  const TileScope scope;
  TileLeft left;
  left.Take(TileRows(), {.length = kInner}, [&](int64_t r) { return narrow.data() + r * kInner; });
  left.Multiply(matrix.panel(0), tile);
  for (int64_t r = 0; r < TileRows(); ++r) {
    for (int64_t o = 0; o < kPanelOutputs; ++o) {
      const double product = double{tile[r * kPanelOutputs + o]};
      double sum = 0, squares[2] = {};
      for (int64_t k = 0; k < kInner; ++k) {
        const double a = double{x[static_cast<size_t>(r * kInner + k)]};
        const double b = double{weight[static_cast<size_t>(o * kInner + k)]};
        sum += a * b;
        squares[0] += a * a;
        squares[1] += b * b;
      }
      if (!std::isfinite(sum)) {
        EXPECT_FALSE(std::isfinite(product)) << r << " " << o;
        continue;
      }
      EXPECT_NEAR(product, sum,
                  (1e-6 + double{FixedPointError(kInner)}) * std::sqrt(squares[0] * squares[1]))
          << r << " " << o;
    }
  }
}

// As a convolution takes patches: rows that overlap, each as far after the one before.
TEST_F(Bf16Products, TakeRowsAtAStrideAsTheyLie) {
  constexpr int64_t kLength = 64, kSegments = 2, kNext = 512, kStride = 32;
  constexpr int64_t kInner = kSegments * kLength;
  const int64_t rows = TileRows();
  const auto image = Random((rows - 1) * kStride + kNext + kLength, 6);
  const auto weight = Random(kPanelOutputs * kInner, 7);
  const auto narrow = Narrow(image);
  const Bf16Matrix matrix(weight.data(), kPanelOutputs, kInner);
  std::vector<float> out(static_cast<size_t>(kMostTileRows * kPanelOutputs), NAN);
  const TileScope scope;
  TileLeft tile;
  tile.Take(
      rows,
      {.length = kLength, .segments = kSegments, .segment_stride = kNext, .row_stride = kStride},
      [&](int64_t r) { return narrow.data() + r * kStride; });
  tile.Multiply(matrix.panel(0), out.data());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < kPanelOutputs; ++o) {
      Sum expected;
      for (int64_t k = 0; k < kInner; ++k) {
        const int64_t at = r * kStride + k / kLength * kNext + k % kLength;
        expected.Add(double{image[static_cast<size_t>(at)]},
                     double{weight[static_cast<size_t>(o * kInner + k)]});
      }
      EXPECT_NEAR(out[static_cast<size_t>(r * kPanelOutputs + o)], expected.sum(), expected.error())
          << r << " " << o;
    }
  }
}

}  // namespace
}  // namespace hidreamer::kernels
