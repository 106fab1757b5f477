#include "hidreamer/kernels/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace hidreamer::kernels {
namespace {

template <class Found, class Expected>
double LargestError(const Found& found, const Expected& expected) {
  double largest = 0;
  for (double x = -12; x <= 12; x += 1.0 / 1024) {
    largest = std::max(largest, std::abs(found(static_cast<float>(x)) - expected(x)));
  }
  return largest;
}

double ShareBelow(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double Density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

TEST(VectorMath, GeluIsCloserThanBf16CanTell) {
  EXPECT_LT(LargestError(Gelu, [](double x) { return x * ShareBelow(x); }), 2e-6);
  EXPECT_LT(LargestError(GeluDerivative, [](double x) { return ShareBelow(x) + x * Density(x); }),
            3e-6);
}

TEST(VectorMath, GeluKeepsWhatIsNoNumber) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Gelu(kInfinity), kInfinity);
  EXPECT_NEAR(Gelu(-kInfinity), 0, 1e-6);
  EXPECT_TRUE(std::isnan(Gelu(std::numeric_limits<float>::quiet_NaN())));
}

TEST(VectorMath, SiluIsExactToRounding) {
  EXPECT_LT(LargestError(Silu, [](double x) { return x / (1 + std::exp(-x)); }), 2e-6);
  EXPECT_LT(LargestError(SiluDerivative,
                         [](double x) {
                           const double share = 1 / (1 + std::exp(-x));
                           return share * (1 + x * (1 - share));
                         }),
            1e-6);
}

}  // namespace
}  // namespace hidreamer::kernels
