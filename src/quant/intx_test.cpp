#include "quant/intx.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include <intaglio/error.h>

#include "quant/kernels/kernels.h"

namespace intaglio::quant {
namespace {

Tensor random_weight(int64_t rows, int64_t columns, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  Tensor weight = Tensor::empty(DType::float32, {rows, columns});
  for (int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = normal(generator);
  return weight;
}

std::vector<int> integers(const Tensor& codes) { return {codes.span<int8_t>().begin(), codes.span<int8_t>().end()}; }

// Half of 15 steps is 7.5: the largest positive value clips, the largest negative one does not.
TEST(Intx, SymmetricInt4) {
  const Tensor weight = Tensor::of<float>({7.5f, -1, 0.5f, 1.5f, -7.5f, 2.5f, 0, 1}, {2, 4});
  const IntxWeight made = quantize_intx(weight, {.bits = 4, .group_size = 4}, 1);
  EXPECT_EQ(made.scale.span<float>()[0], 1.0f);
  EXPECT_EQ(integers(made.codes), (std::vector<int>{7, -1, 0, 2, -8, 2, 0, 1}));
  EXPECT_EQ(integers(made.zero_point), (std::vector<int>{0, 0}));
}

TEST(Intx, GroupsAndMappings) {
  const Tensor weight = Tensor::of<float>({0, 3, 15, 6, -4, 7, 2, 0}, {2, 4});
  const IntxWeight asymmetric = quantize_intx(weight, {.bits = 4, .group_size = 4, .mapping = MappingType::asymmetric}, 1);
  EXPECT_EQ(integers(asymmetric.zero_point), (std::vector<int>{-8, -3}));
  EXPECT_EQ(integers(asymmetric.codes), (std::vector<int>{-8, -5, 7, -2, -8, 7, 0, -3}));
  const IntxWeight unclipped = quantize_intx(weight, {.bits = 4, .group_size = 2, .mapping = MappingType::symmetric_no_clipping_err}, 1);
  EXPECT_EQ(unclipped.scale.sizes(), (Sizes{2, 2}));
  EXPECT_EQ(unclipped.scale.span<float>()[2], 1.0f);
  EXPECT_EQ(integers(unclipped.codes), (std::vector<int>{0, 7, 7, 3, -4, 7, 7, 0}));
}

TEST(Intx, EmptyGroupsHaveTheSmallestScale) {
  const IntxWeight made = quantize_intx(Tensor::zeros(DType::float32, {1, 2}), {.bits = 2, .group_size = 2}, 1);
  EXPECT_EQ(made.scale.span<float>()[0], 0x1p-126f);
  EXPECT_EQ(integers(made.codes), (std::vector<int>{0, 0}));
  const IntxWeight half = quantize_intx(converted(Tensor::zeros(DType::float32, {1, 2}), DType::float16), {.bits = 2, .group_size = 2}, 1);
  EXPECT_EQ(half.scale.dtype(), DType::float16);
  EXPECT_EQ(converted(half.scale, DType::float32).span<float>()[0], 0x1p-14f);
}

double squared_error(const Tensor& weight, const IntxWeight& made, int64_t group_size) {
  double sum = 0;
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const double difference = static_cast<double>(weight.span<float>()[static_cast<size_t>(i)]) -
                              made.codes.span<int8_t>()[static_cast<size_t>(i)] *
                                  static_cast<double>(made.scale.span<float>()[static_cast<size_t>(i / group_size)]);
    sum += difference * difference;
  }
  return sum;
}

TEST(Intx, FittedScalesAreCloser) {
  const Tensor weight = random_weight(40, 96);
  for (const int bits : {2, 4}) {
    const double plain = squared_error(weight, quantize_intx(weight, {.bits = bits, .group_size = 32}, 1), 32);
    const double fitted = squared_error(weight, quantize_intx(weight, {.bits = bits, .group_size = 32, .fit_scale = true}, 1), 32);
    EXPECT_LT(fitted, 0.95 * plain);
  }
}

// Rows of zeros, of denormals, of huge and of equal values, and quotients that lie on halves.
Tensor weight_with_odd_rows(unsigned seed) {
  Tensor weight = random_weight(60, 672, seed);
  auto* x = weight.mutable_data<float>();
  for (int64_t i = 0; i < 672; ++i) {
    x[i] = 0;
    x[672 + i] *= 1e-38f;
    x[2 * 672 + i] *= 1e34f;
    x[3 * 672 + i] = 0.3f;
    x[4 * 672 + i] = static_cast<float>(i % 16) * 0.5f - 4.0f;
  }
  return weight;
}

TEST(Intx, EveryInstructionSetAndThreadCountGivesTheSameBits) {
  for (const int64_t group : {3, 8, 32, 96, 224, 672}) {
    const Tensor weight = weight_with_odd_rows(static_cast<unsigned>(group));
    for (const DType dtype : {DType::float32, DType::bfloat16})
      for (const MappingType mapping : {MappingType::symmetric, MappingType::asymmetric})
        for (const bool fit_scale : {false, true}) {
          if (fit_scale && mapping == MappingType::asymmetric) continue;
          const IntxSettings settings{.bits = 4, .group_size = group, .mapping = mapping, .fit_scale = fit_scale};
          const auto made = [&](int threads) { return quantize_intx(converted(weight, dtype), settings, threads); };
          const IntxWeight expected = made(1);
          EXPECT_EQ(*std::ranges::max_element(expected.codes.span<int8_t>()), 7);
          for (const Kernels* set : available_kernels()) {
            const KernelOverride use(*set);
            const IntxWeight other = made(3);
            EXPECT_TRUE(bit_equal(other.codes, expected.codes)) << set->name << " groups of " << group;
            EXPECT_TRUE(bit_equal(other.scale, expected.scale)) << set->name << " groups of " << group;
            EXPECT_TRUE(bit_equal(other.zero_point, expected.zero_point)) << set->name << " groups of " << group;
          }
        }
  }
}

// Codes are those of division, where PyTorch divides, and of multiplication with the inverse where it multiplies.
TEST(Intx, CodesAreThoseOfTheFormula) {
  for (const int64_t group : {32, 96, 672})
    for (const int bits : {2, 4, 8})
      for (const bool fit_scale : {false, true}) {
        const Tensor weight = weight_with_odd_rows(static_cast<unsigned>(bits));
        const IntxWeight made = quantize_intx(weight, {.bits = bits, .group_size = group, .fit_scale = fit_scale}, 1);
        const QuantRange range = intx_range(bits);
        for (size_t i = 0; i < static_cast<size_t>(weight.numel()); ++i) {
          const float x = weight.span<float>()[i], scale = made.scale.span<float>()[i / static_cast<size_t>(group)];
          const float steps = fit_scale ? x / scale : x * (1.0f / scale);
          const auto low = static_cast<float>(range.min), high = static_cast<float>(range.max);
          ASSERT_EQ(made.codes.span<int8_t>()[i], std::clamp(std::nearbyint(steps), low, high)) << x << " by " << scale;
        }
      }
}

TEST(Intx, ScalesThatTheirTypeCannotHoldAreNamed) {
  Tensor weight = random_weight(4, 32);
  weight.mutable_data<float>()[2 * 32] = 1e6f;
  try {
    quantize_intx(weight, {.bits = 4, .group_size = 32, .scale_dtype = DType::float16}, 1);
    FAIL();
  } catch (const Error& error) { EXPECT_NE(std::string(error.what()).find("row 2"), std::string::npos) << error.what(); }
}

TEST(Intx, NamesTheRowOfWhatIsNotFinite) {
  for (const float bad : {NAN, INFINITY})
    for (const bool fit_scale : {false, true}) {
      Tensor weight = random_weight(6, 8);
      weight.mutable_data<float>()[3 * 8 + 5] = bad;
      try {
        quantize_intx(weight, {.bits = 4, .group_size = 4, .fit_scale = fit_scale}, 2);
        FAIL();
      } catch (const Error& error) { EXPECT_NE(std::string(error.what()).find("row 3"), std::string::npos) << error.what(); }
    }
}

}  // namespace
}  // namespace intaglio::quant
