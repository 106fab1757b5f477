#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

// Functions of one number without branches or calls, so that the compiler vectorizes loops of them
// (the standard library's keep it from that).
namespace hidreamer::kernels {

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

// c[0] x^n + c[1] x^(n - 1) + … + c[n] (Horner).
template <size_t kCount>
inline float Polynomial(const float (&coefficients)[kCount], float x) {
  float sum = coefficients[0];
#pragma GCC unroll 16
  for (size_t i = 1; i < kCount; ++i) {
    sum = sum * x + coefficients[i];
  }
  return sum;
}

// x times the normal distribution's share below x (Hendrycks and Gimpel, 2016), to 7e-7. It is
// max(x, 0) - g(|x|) with g(z) = z P(X > z), a hump that is 1e-7 from 5.5 on: its Chebyshev
// expansion over [0, 5.5] takes a third of the time of an exponential and a quotient.
constexpr float kHumpEnd = 5.5f;
inline float PlaceInHump(float x) {  // |x| of [0, 5.5], what lies behind at its end, as [-1, 1]
  const float z = std::fabs(x);
  return (z < kHumpEnd ? z : kHumpEnd) * (2 / kHumpEnd) - 1;
}
inline float Gelu(float x) {
  constexpr float kHump[] = {3.61366871e-02f,  -3.94180854e-02f, -1.54876231e-01f, 2.35338592e-01f,
                             1.85879463e-01f,  -5.47519572e-01f, 1.91852491e-01f,  4.60615005e-01f,
                             -6.38624027e-01f, 2.60225556e-01f,  1.80235220e-01f,  -3.08663053e-01f,
                             1.91202054e-01f,  -6.05784587e-02f, 8.19484918e-03f};
  return (x < 0 ? 0 : x) - Polynomial(kHump, PlaceInHump(x));
}
// Its derivative, to 2e-6: g' is expanded by itself.
inline float GeluDerivative(float x) {
  constexpr float kSlope[] = {
      -8.63082487e-02f, 7.11337357e-03f,  4.86047460e-01f,  -2.09458504e-01f,
      -1.09657626e+00f, 9.70697036e-01f,  9.72609925e-01f,  -1.81022140e+00f,
      4.46859611e-01f,  1.17830975e+00f,  -1.37212159e+00f, 4.72262096e-01f,
      2.60390327e-01f,  -3.36674704e-01f, 1.39098182e-01f,  -2.20289646e-02f};
  const float slope = Polynomial(kSlope, PlaceInHump(x));
  return x < 0 ? slope : 1 - slope;
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

}  // namespace hidreamer::kernels
