// Elementary functions on float32 that the compiler vectorises. Only additions, multiplications, selections and
// integer steps, so every instruction set gives the same bits. Errors are a few units in the last place; NaN stays NaN.
// The coefficients are least-maximum-error fits to the functions on the intervals stated.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "interpreter/instruction_set.h"

namespace intaglio::interp::math {

// Adding and taking away 1.5 * 2^23 rounds to the nearest integer, halves to even, for |x| < 2^22.
constexpr float round = 12582912.0f;

// Round half to even for any x: larger magnitudes are integers already.
INTAGLIO_INLINE float round_even(float x) {
  const float magnitude = std::fabs(x);
  const float rounded = (magnitude + 8388608.0f) - 8388608.0f;
  return std::copysign(magnitude < 8388608.0f ? rounded : magnitude, x);
}

INTAGLIO_INLINE float power_of_two(int32_t n) { return std::bit_cast<float>((n + 127) << 23); }

INTAGLIO_INLINE float exp(float x) {
  float t = x < -104.0f ? -104.0f : x;
  t = t > 89.0f ? 89.0f : t;
  const float shifted = t * 1.44269504f + round;
  const float n = shifted - round;
  const int32_t k = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(round);
  const float r = (t - n * 0.693115234375f) - n * 3.194618329871446e-05f;
  const float p =
      1.0f +
      (r +
       r * r * (0.5f + r * (0.16666576266288757f + r * (0.04166637361049652f + r * (0.008363175205886364f + r * 0.0013941109646111727f)))));
  // Two steps, so that the largest and the subnormal results are reached.
  const int32_t half = k >> 1;
  return p * power_of_two(half) * power_of_two(k - half);
}

INTAGLIO_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

INTAGLIO_INLINE float tanh(float x) {
  const float magnitude = std::fabs(x);
  const float u = x * x;
  const float small =
      x + x * u *
              (-0.333333283662796f +
               u * (0.13332805037498474f + u * (-0.05385509878396988f + u * (0.021013613790273666f + u * -0.006117226555943489f))));
  const float large = std::copysign(1.0f - 2.0f / (exp(2.0f * magnitude) + 1.0f), x);
  return magnitude < 0.625f ? small : large;
}

INTAGLIO_INLINE float erf(float x) {
  const float magnitude = std::fabs(x);
  const float u = x * x;
  const float small =
      x * (1.128379225730896f +
           u * (-0.37612637877464294f +
                u * (0.11283782869577408f +
                     u * (-0.02686544507741928f +
                          u * (0.005221074912697077f +
                               u * (-0.00084847112884745f + u * (0.00011270544928265736f + u * -9.680136827228125e-06f)))))));
  // On [1, 4] the logarithm of the complement is a polynomial; beyond, the result is 1 in float32.
  const float a = magnitude > 4.0f ? 4.0f : magnitude;
  const float q = 0.00020435986516531557f +
                  a * (-1.129661202430725f +
                       a * (-0.6330395936965942f +
                            a * (-0.10863899439573288f +
                                 a * (0.025373555719852448f +
                                      a * (-0.004282382782548666f +
                                           a * (0.00046378799015656114f + a * (-2.531480640755035e-05f + a * 2.5132646896963706e-07f)))))));
  const float large = std::copysign(1.0f - exp(q), x);
  return magnitude < 1.0f ? small : (magnitude >= 1.0f ? large : x);
}

}  // namespace intaglio::interp::math
