#include "quant/metrics.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "testing/numbers.h"

namespace intaglio::quant {
namespace {

using test::infinity;
using test::not_a_number;

using Floats = std::vector<float>;

TEST(Compare, KnownValues) {
  // Signal 9 + 16 = 25, noise 0.25: 20 dB. Product 9 + 14 = 23 over 5 * sqrt(9 + 12.25).
  const ErrorMetrics m = compare(Floats{3, 4}, Floats{3, 3.5f});
  EXPECT_DOUBLE_EQ(m.sqnr_db, 20.0);
  EXPECT_DOUBLE_EQ(m.cosine, 23.0 / (5.0 * std::sqrt(21.25)));
  EXPECT_EQ(m.max_abs_error, 0.5);
  EXPECT_EQ(m.mean_abs_error, 0.25);
  EXPECT_EQ(m.count, 2);
}

TEST(Compare, WithoutErrorOrSignal) {
  const ErrorMetrics equal = compare(Floats{1, -2}, Floats{1, -2});
  EXPECT_EQ(equal.sqnr_db, infinity);
  EXPECT_EQ(equal.cosine, 1.0);
  EXPECT_EQ(equal.max_abs_error, 0.0);
  const ErrorMetrics zeros = compare(Floats{0, 0}, Floats{0, 0});
  EXPECT_EQ(zeros.sqnr_db, infinity);
  EXPECT_EQ(zeros.cosine, 1.0);
  const ErrorMetrics no_signal = compare(Floats{0, 0}, Floats{0, 3});
  EXPECT_EQ(no_signal.sqnr_db, -infinity);
  EXPECT_EQ(no_signal.cosine, 0.0);
  EXPECT_EQ(no_signal.mean_abs_error, 1.5);
  const ErrorMetrics lost = compare(Floats{0, 3}, Floats{0, 0});
  EXPECT_EQ(lost.sqnr_db, 0.0);
  EXPECT_EQ(lost.cosine, 0.0);
  const ErrorMetrics nothing = compare(Floats{}, Floats{});
  EXPECT_EQ(nothing.sqnr_db, infinity);
  EXPECT_EQ(nothing.mean_abs_error, 0.0);
  EXPECT_DOUBLE_EQ(compare(Floats{1, 2}, Floats{-1, -2}).cosine, -1.0);
}

TEST(Compare, NotFinite) {
  // Equal ones do not count, anywhere in a block.
  Floats a(20, 1.0f), b(20, 1.0f);
  a[3] = b[3] = infinity;
  a[19] = b[19] = not_a_number;
  b[4] = 0.0f;
  const ErrorMetrics same = compare(a, b);
  EXPECT_DOUBLE_EQ(same.sqnr_db, 10.0 * std::log10(18.0));
  EXPECT_EQ(same.max_abs_error, 1.0);
  EXPECT_EQ(same.mean_abs_error, 1.0 / 20);
  b[3] = -infinity;
  const ErrorMetrics lost = compare(a, b);
  EXPECT_EQ(lost.sqnr_db, -infinity);
  EXPECT_EQ(lost.cosine, 0.0);
  EXPECT_EQ(lost.max_abs_error, infinity);
  EXPECT_EQ(lost.mean_abs_error, infinity);
  EXPECT_EQ(compare(Floats{1}, Floats{not_a_number}).sqnr_db, -infinity);
}

TEST(Compare, LargestFloatsDoNotOverflow) {
  const float large = std::numeric_limits<float>::max();
  const ErrorMetrics m = compare(Floats(9, large), Floats(9, -large));
  EXPECT_DOUBLE_EQ(m.sqnr_db, 10.0 * std::log10(0.25));
  EXPECT_DOUBLE_EQ(m.cosine, -1.0);
}

TEST(Compare, LongTensorsKeepSmallErrors) {
  // A million terms of 2^-53 relative size would vanish in a running sum.
  Floats a(1 << 20, 0x1p-26f), b(1 << 20, 0.0f);
  a[0] = b[0] = 1.0f;
  const ErrorMetrics m = compare(a, b);
  EXPECT_DOUBLE_EQ(m.mean_abs_error, 0x1p-26 * ((1 << 20) - 1) / (1 << 20));
  EXPECT_DOUBLE_EQ(m.sqnr_db, 10.0 * std::log10((1.0 + 0x1p-32) / (0x1p-52 * ((1 << 20) - 1))));
}

TEST(Compare, PartsInOrderAreOne) {
  Floats a, b;
  for (int i = 0; i < 3 * 4096; ++i) {
    a.push_back(std::sin(static_cast<float>(i)));
    b.push_back(a.back() + 0.001f * static_cast<float>(i % 7));
  }
  ErrorAccumulator parts;
  for (size_t i = 0; i < 3; ++i) parts.add(std::span(a).subspan(i * 4096, 4096), std::span(b).subspan(i * 4096, 4096));
  EXPECT_EQ(parts.metrics().sqnr_db, compare(a, b).sqnr_db);
  EXPECT_EQ(parts.metrics().cosine, compare(a, b).cosine);
  EXPECT_EQ(parts.metrics().count, 3 * 4096);
  EXPECT_THROW(parts.add(Floats{1}, Floats{}), Error);
}

TEST(Top1, FirstOfEqualsAndNaN) {
  EXPECT_EQ(top1(Floats{1, 3, 3}), 1);
  EXPECT_EQ(top1(Floats{-infinity}), 0);
  EXPECT_EQ(top1(Floats{5, not_a_number, 9}), 1);
  EXPECT_THROW(top1(Floats{}), Error);
}

TEST(Top1, Agreement) {
  const Floats a{1, 2, 5, 4, 0, 9}, b{0, 7, 1, 2, 3, 8};
  EXPECT_DOUBLE_EQ(top1_agreement(a, b, 2), 2.0 / 3.0);
  EXPECT_THROW(top1_agreement(a, b, 4), Error);
  EXPECT_THROW(top1_agreement(a, b, 0), Error);
}

}  // namespace
}  // namespace intaglio::quant
