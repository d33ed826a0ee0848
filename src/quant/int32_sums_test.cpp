#include <cmath>

#include <gtest/gtest.h>

#include "quant/affine.h"
#include "quant/int32_sums.h"

namespace intaglio::quant {
namespace {

constexpr double limit = 2147483647.0;

QuantParams per_tensor(double scale) { return {.scale = {scale}, .zero_point = {0}, .quant_min = -127}; }
QuantParams per_channel(std::vector<double> scales, int64_t axis = 0) {
  std::vector<int64_t> zeros(scales.size(), 0);
  return {.scale = std::move(scales), .zero_point = zeros, .block_size = channel_blocks(axis), .quant_min = -127};
}

Tensor filled(DType dtype, Sizes sizes, float value) {
  Tensor floats = Tensor::empty(DType::float32, std::move(sizes));
  std::fill_n(floats.mutable_data<float>(), floats.numel(), value);
  return converted(floats, dtype);
}

// One row of two weights of 100 steps: 255 * 200 of the sum are theirs.
SummedLayer two_weights(double bias_steps) {
  return {.weight = filled(DType::int8, {1, 2}, 100), .bias = {static_cast<float>(bias_steps * 0.5 * 0.25)}, .input_scale = 0.5};
}

TEST(Int32Sums, BiasAndRowCountTogether) {
  const double row = 255.0 * 200;
  // 2^31 - 1 less the row, rounded to float32 on either side.
  EXPECT_TRUE(fits_int32(two_weights(limit - row - 256), per_tensor(0.25)));
  EXPECT_FALSE(fits_int32(two_weights(limit - row + 256), per_tensor(0.25)));
  EXPECT_FALSE(fits_int32(two_weights(-limit), per_tensor(0.25)));
  EXPECT_NEAR(shares_of_int32(two_weights(limit / 2), per_tensor(0.25))[0], 0.5 + row / limit, 1e-6);
}

TEST(Int32Sums, RowsAreCountedByTheirOwnWeights) {
  constexpr int64_t longest = 2147483647 / (255 * 127);  // of the largest weights
  const auto row = [](int64_t length, float weight) { return SummedLayer{.weight = filled(DType::int8, {1, length}, weight)}; };
  EXPECT_TRUE(fits_int32(row(longest, 127), per_tensor(1)));
  EXPECT_FALSE(fits_int32(row(longest + 1, 127), per_tensor(1)));
  EXPECT_FALSE(fits_int32(row(longest + 1, -127), per_tensor(1)));
  EXPECT_TRUE(fits_int32(row(2 * longest, 63), per_tensor(1)));
}

TEST(Int32Sums, ChannelsOfTransposedWeightsFollowTheirGroups) {
  // [4 inputs, 3 channels of each of 2 groups]: channel g * 3 + o sums inputs 2g and 2g + 1.
  Tensor weight = Tensor::empty(DType::int8, {4, 3});
  for (int64_t i = 0; i < 12; ++i) weight.mutable_data<int8_t>()[i] = static_cast<int8_t>(i % 2 == 0 ? i : -i);
  const std::vector<double> shares = shares_of_int32({.weight = weight, .channel_axis = 1, .groups = 2}, per_tensor(1));
  const std::vector<int64_t> sums = {3, 5, 7, 15, 17, 19};
  ASSERT_EQ(shares.size(), sums.size());
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(shares[i] * limit, 255.0 * static_cast<double>(sums[i]), 1e-3);
}

TEST(Int32Sums, ScalesThatFitStay) {
  const SummedLayer layer{.weight = filled(DType::float32, {2, 8}, 0.5f), .bias = {1, -2}, .input_scale = 0.01};
  const auto raised = raise_scales(layer, per_channel({0.004, 0.005}));
  ASSERT_TRUE(raised);
  EXPECT_EQ(raised->raised, 0u);
  EXPECT_EQ(raised->params, per_channel({0.004, 0.005}));
}

TEST(Int32Sums, AScaleIsRaisedForItsChannelAlone) {
  for (const double over : {1.001, 2.0, 1000.0, 1e9}) {
    const double scale = 0.001f, input_scale = 0.01f;
    SummedLayer layer{.weight = filled(DType::float32, {3, 8}, 0.1f), .input_scale = input_scale};
    const auto bias = static_cast<float>(over * limit * scale * input_scale);
    layer.bias = {1.0f, bias, -bias};
    const auto raised = raise_scales(layer, per_channel({scale, scale, scale}));
    ASSERT_TRUE(raised);
    EXPECT_EQ(raised->raised, 2u);
    EXPECT_NEAR(raised->largest / over, 1, 2e-4);
    EXPECT_EQ(raised->params.scale[0], scale);
    EXPECT_EQ(raised->params.scale[1], raised->params.scale[2]);
    layer.weight = quantize(layer.weight, raised->params);
    EXPECT_TRUE(fits_int32(layer, raised->params));
    const auto together = raise_scales({filled(DType::float32, {3, 8}, 0.1f), 0, 1, layer.bias, input_scale}, per_tensor(scale));
    ASSERT_TRUE(together);
    EXPECT_EQ(together->raised, 1u);
    EXPECT_NEAR(together->largest, raised->largest, 1e-6 * over);
  }
}

TEST(Int32Sums, LongRowsLoseTwoBitsAtMost) {
  constexpr int64_t longest = 2147483647 / (255 * 127);
  const auto raised_row = [](int64_t length) {
    return raise_scales({.weight = filled(DType::float32, {1, length}, 1.0f)}, per_tensor(1.0f / 127));
  };
  ASSERT_TRUE(raised_row(longest));
  EXPECT_EQ(raised_row(longest)->raised, 0u);
  const auto little = raised_row(longest + 1);
  ASSERT_TRUE(little);
  EXPECT_GT(little->largest, 1);
  EXPECT_LT(little->largest, 1.02);
  const auto twice = raised_row(2 * longest);
  ASSERT_TRUE(twice);
  EXPECT_NEAR(twice->largest, 2, 0.03);
  const Tensor weight = quantize(filled(DType::float32, {1, 2 * longest}, 1.0f), twice->params);
  EXPECT_EQ(weight.span<int8_t>()[0], 63);
  EXPECT_TRUE(raised_row(4 * longest));
  EXPECT_FALSE(raised_row(4 * longest + 8));
}

}  // namespace
}  // namespace intaglio::quant
