#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Functions of one number without branches or calls, so that the compiler vectorizes loops of them
// (the standard library's keep it from that).
namespace hidreamer::nn {

// e^x for x <= 0 to 2 units in the last place; exactly 0 below -87, where f32 ends. Split as 2^n
// e^r with |r| <= ln 2 / 2, then a polynomial (Cephes, Moshier).
inline float ExpOfNegative(float x) {
  constexpr float kSmallest = -87.0f, kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const float bounded = x < kSmallest ? kSmallest : x;
  const float shifted = bounded * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (bounded - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float power = std::bit_cast<float>((exponent + 127) << 23);
  return x < kSmallest ? 0.0f : p * power;
}

// The normal distribution's share below x, to 1e-7, and e^(-x^2 / 2), of which its density is a
// multiple (Abramowitz and Stegun, 7.1.26).
struct NormalShare {
  float below, bell;
};
inline NormalShare ShareBelow(float x) {
  const float z = std::fabs(x) * 0.70710678f;
  const float bell = ExpOfNegative(-z * z);
  const float t = 1 / (1 + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * bell;
  return {x < 0 ? tail : 1 - tail, bell};
}

// x times the share below x (Hendrycks and Gimpel, 2016), and its derivative.
inline float Gelu(float x) { return x * ShareBelow(x).below; }
inline float GeluDerivative(float x) {
  const NormalShare share = ShareBelow(x);
  return share.below + x * 0.39894228f * share.bell;
}

inline float Sigmoid(float x) {
  const float e = ExpOfNegative(-std::fabs(x));
  return (x < 0 ? e : 1.0f) / (1 + e);
}

// x sigmoid(x) (Elfwing et al., 2018), and its derivative.
inline float Silu(float x) { return x * Sigmoid(x); }
inline float SiluDerivative(float x) {
  const float share = Sigmoid(x);
  return share * (1 + x * (1 - share));
}

}  // namespace hidreamer::nn
