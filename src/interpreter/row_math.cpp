#include "interpreter/row_math.h"

#include <cmath>
#include <limits>

#include "interpreter/instruction_set.h"
#include "interpreter/vector_math.h"

namespace intaglio::interp {
namespace {

constexpr int lane_count = 16;

INTAGLIO_INLINE double lanes_total(const double* lanes) {
  double total = 0;
  for (int l = 0; l < lane_count; ++l) total += lanes[l];
  return total;
}

INTAGLIO_INLINE void sum_body(const float* x, int64_t count, double* result) {
  double lanes[lane_count] = {};
  int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count)
    for (int l = 0; l < lane_count; ++l) lanes[l] += static_cast<double>(x[i + l]);
  for (int l = 0; i < count; ++i, ++l) lanes[l] += static_cast<double>(x[i]);
  *result = lanes_total(lanes);
}
INTAGLIO_VERSIONS(sum, (const float* x, int64_t count, double* result), (x, count, result))

INTAGLIO_INLINE void square_sum_body(const float* x, int64_t count, double center, double* result) {
  double lanes[lane_count] = {};
  int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count)
    for (int l = 0; l < lane_count; ++l) {
      const double d = static_cast<double>(x[i + l]) - center;
      lanes[l] += d * d;
    }
  for (int l = 0; i < count; ++i, ++l) {
    const double d = static_cast<double>(x[i]) - center;
    lanes[l] += d * d;
  }
  *result = lanes_total(lanes);
}
INTAGLIO_VERSIONS(square_sum, (const float* x, int64_t count, double center, double* result), (x, count, center, result))

template <bool kind_maximum>
INTAGLIO_INLINE float better(float a, float b) {
  return (kind_maximum ? b > a : b < a) || b != b ? b : a;
}
template <bool kind_maximum>
INTAGLIO_INLINE void extreme_body(const float* x, int64_t count, float* result) {
  constexpr float worst = kind_maximum ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  float lanes[lane_count];
  for (int l = 0; l < lane_count; ++l) lanes[l] = worst;
  int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count)
    for (int l = 0; l < lane_count; ++l) lanes[l] = better<kind_maximum>(lanes[l], x[i + l]);
  for (int l = 0; i < count; ++i, ++l) lanes[l] = better<kind_maximum>(lanes[l], x[i]);
  float best = worst;
  bool nan = false;
  for (int l = 0; l < lane_count; ++l) {
    nan = nan || lanes[l] != lanes[l];
    best = better<kind_maximum>(best, lanes[l]);
  }
  *result = nan ? std::numeric_limits<float>::quiet_NaN() : best;
}
INTAGLIO_INLINE void maximum_body(const float* x, int64_t count, float* result) { extreme_body<true>(x, count, result); }
INTAGLIO_INLINE void minimum_body(const float* x, int64_t count, float* result) { extreme_body<false>(x, count, result); }
INTAGLIO_VERSIONS(maximum, (const float* x, int64_t count, float* result), (x, count, result))
INTAGLIO_VERSIONS(minimum, (const float* x, int64_t count, float* result), (x, count, result))

INTAGLIO_INLINE void affine_body(const float* x, float shift, float factor, const float* weight, const float* bias, int64_t count,
                                 float* out) {
  if (weight != nullptr && bias != nullptr)
    for (int64_t i = 0; i < count; ++i) out[i] = (x[i] - shift) * factor * weight[i] + bias[i];
  else if (weight != nullptr)
    for (int64_t i = 0; i < count; ++i) out[i] = (x[i] - shift) * factor * weight[i];
  else if (bias != nullptr)
    for (int64_t i = 0; i < count; ++i) out[i] = (x[i] - shift) * factor + bias[i];
  else
    for (int64_t i = 0; i < count; ++i) out[i] = (x[i] - shift) * factor;
}
INTAGLIO_VERSIONS(affine, (const float* x, float shift, float factor, const float* weight, const float* bias, int64_t count, float* out),
                  (x, shift, factor, weight, bias, count, out))

INTAGLIO_INLINE void exponentials_body(const float* x, float shift, int64_t count, float* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = math::exp(x[i] - shift);
}
INTAGLIO_VERSIONS(exponentials, (const float* x, float shift, int64_t count, float* out), (x, shift, count, out))

INTAGLIO_INLINE void add_scaled_body(float* out, const float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] += factor * x[i];
}
INTAGLIO_VERSIONS(add_scaled, (float* out, const float* x, float factor, int64_t count), (out, x, factor, count))

}  // namespace

double row_sum(const float* x, int64_t count) {
  double result = 0;
  sum(x, count, &result);
  return result;
}
double row_square_sum(const float* x, int64_t count, double center) {
  double result = 0;
  square_sum(x, count, center, &result);
  return result;
}
float row_maximum(const float* x, int64_t count) {
  float result = 0;
  maximum(x, count, &result);
  return result;
}
float row_minimum(const float* x, int64_t count) {
  float result = 0;
  minimum(x, count, &result);
  return result;
}
void row_affine(const float* x, float shift, float factor, const float* weight, const float* bias, int64_t count, float* out) {
  affine(x, shift, factor, weight, bias, count, out);
}

double row_exponentials(const float* x, float shift, int64_t count, float* out) {
  exponentials(x, shift, count, out);
  return row_sum(out, count);
}

void row_softmax(const float* x, int64_t count, bool logarithm, float* out) {
  const float top = row_maximum(x, count);
  if (logarithm) {
    constexpr int64_t block_elements = 256;
    float buffer[block_elements];
    double total = 0;
    for (int64_t i = 0; i < count; i += block_elements) {
      const int64_t n = count - i < block_elements ? count - i : block_elements;
      exponentials(x + i, top, n, buffer);
      total += row_sum(buffer, n);
    }
    // Not top + log(total): their sum would lose the small logarithm beside a large maximum.
    const float rest = static_cast<float>(std::log(total));
    for (int64_t i = 0; i < count; ++i) out[i] = (x[i] - top) - rest;
    return;
  }
  const float factor = static_cast<float>(1.0 / row_exponentials(x, top, count, out));
  affine(out, 0.0f, factor, nullptr, nullptr, count, out);
}

void row_add_scaled(float* out, const float* x, float factor, int64_t count) { add_scaled(out, x, factor, count); }

}  // namespace intaglio::interp
