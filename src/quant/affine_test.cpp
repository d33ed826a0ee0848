#include "quant/affine.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "testing/numbers.h"

namespace intaglio::quant {
namespace {

using test::infinity;
using test::not_a_number;

constexpr QuantRange int8_range{-128, 127};

template <typename Q>
std::vector<int64_t> values_of(const Tensor& tensor) {
  const Tensor row_major = tensor.contiguous();
  return {row_major.span<Q>().begin(), row_major.span<Q>().end()};
}
std::vector<float> floats_of(const Tensor& tensor) {
  const Tensor x = converted(tensor.contiguous(), DType::float32);
  return {x.span<float>().begin(), x.span<float>().end()};
}

TEST(RangeOf, TypesAndGivenBounds) {
  EXPECT_EQ(range_of(DType::int8), (QuantRange{-128, 127}));
  EXPECT_EQ(range_of(DType::uint16), (QuantRange{0, 65535}));
  EXPECT_EQ(range_of(DType::int32), (QuantRange{-2147483648LL, 2147483647LL}));
  EXPECT_THROW(range_of(DType::int64), Error);
  ObserverSettings settings;
  EXPECT_EQ(range_of(settings), int8_range);
  settings.quant_min = -127;
  EXPECT_THROW(range_of(settings), Error);
  settings.quant_max = 127;
  EXPECT_EQ(range_of(settings), (QuantRange{-127, 127}));
  settings.quant_max = 128;
  EXPECT_THROW(range_of(settings), Error);
}

TEST(ChooseQParams, Affine) {
  // 2.55 / 255 and 255 * 0.01: zero sits 100 steps above the lowest value.
  EXPECT_EQ(choose_qparams_affine(-1.0f, 1.55f, int8_range, 1e-7), (ScaleZeroPoint{2.55f / 255.0f, -28}));
  // The range is widened to hold 0.
  EXPECT_EQ(choose_qparams_affine(1.0f, 2.55f, int8_range, 1e-7), (ScaleZeroPoint{2.55f / 255.0f, -128}));
  EXPECT_EQ(choose_qparams_affine(-2.55f, -1.0f, int8_range, 1e-7), (ScaleZeroPoint{2.55f / 255.0f, 127}));
  // eps is applied before the zero point: -0.01 / 2^-12 = -40.96.
  EXPECT_EQ(choose_qparams_affine(-0.01f, 0.0f, int8_range, 0x1p-12), (ScaleZeroPoint{0x1p-12f, -128 + 41}));
  // Ties go to even: -0.5 -> 0, -1.5 -> -2.
  EXPECT_EQ(choose_qparams_affine(-0.5f, 254.5f, int8_range, 1e-7), (ScaleZeroPoint{1.0f, -128}));
  EXPECT_EQ(choose_qparams_affine(-1.5f, 253.5f, int8_range, 1e-7), (ScaleZeroPoint{1.0f, -126}));
  EXPECT_EQ(choose_qparams_affine(0.0f, 65535.0f, {0, 65535}, 1e-7), (ScaleZeroPoint{1.0f, 0}));
  EXPECT_THROW(choose_qparams_affine(1.0f, -1.0f, int8_range, 1e-7), Error);
  EXPECT_THROW(choose_qparams_affine(not_a_number, 1.0f, int8_range, 1e-7), Error);
}

TEST(ChooseQParams, Symmetric) {
  EXPECT_EQ(choose_qparams_symmetric(-1.0f, 0.5f, {-127, 127}, 1e-7), (ScaleZeroPoint{1.0f / 127.0f, 0}));
  EXPECT_EQ(choose_qparams_symmetric(-1.0f, 0.5f, int8_range, 1e-7), (ScaleZeroPoint{1.0f / 127.5f, 0}));
  EXPECT_EQ(choose_qparams_symmetric(-0.001f, 0.03f, {-127, 127}, 0x1p-12), (ScaleZeroPoint{0x1p-12f, 0}));
  ObserverSettings settings{.dtype = DType::uint8, .qscheme = QScheme::per_tensor_symmetric};
  EXPECT_EQ(symmetric_zero_point(settings), 128);
  settings.quant_min = 0;
  settings.quant_max = 15;
  EXPECT_EQ(symmetric_zero_point(settings), 7);
  EXPECT_EQ(symmetric_zero_point({.dtype = DType::uint16}), 32768);
  EXPECT_EQ(symmetric_zero_point({.dtype = DType::int16}), 0);
}

TEST(ChooseQParams, OfRanges) {
  ObserverSettings settings{.qscheme = QScheme::per_channel_symmetric, .quant_min = -127, .quant_max = 127, .ch_axis = 1};
  const std::vector<float> low{-127.0f, 0.0f}, high{1.0f, 254.0f};
  const QuantParams params = qparams_of_range(low, high, settings, 1e-7, true);
  EXPECT_EQ(params.scale, (std::vector<double>{1.0, 2.0}));
  EXPECT_EQ(params.zero_point, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(params.axis(), 1);
  EXPECT_EQ(params.quant_min, -127);
  // Never observed: one scale of 1 that serves every channel.
  const QuantParams unseen = qparams_of_range({}, {}, settings, 1e-7, true);
  EXPECT_EQ(unseen.scale, std::vector<double>{1.0});
  EXPECT_EQ(unseen.zero_point, std::vector<int64_t>{0});
  const QuantParams empty = qparams_of_range({&infinity, 1}, std::vector<float>{-infinity}, {}, 1e-7, false);
  EXPECT_EQ(empty.scale, std::vector<double>{1.0});
}

TEST(ChooseQParams, Dynamic) {
  const Tensor x = Tensor::of<float>({-1.0f, 0.25f, 1.55f}, {3});
  EXPECT_EQ(choose_qparams(x, int8_range, 0x1p-12, DType::int8), (ScaleZeroPoint{2.55f / 255.0f, -28}));
  EXPECT_EQ(choose_qparams_symmetric(x, {0, 255}, 0x1p-12, DType::uint8), (ScaleZeroPoint{1.55f / 127.5f, 128}));
  // float16 arithmetic: 0.01 is rounded to half.
  const ScaleZeroPoint half = choose_qparams(converted(x, DType::float16), int8_range, 0x1p-12, DType::int8);
  EXPECT_EQ(half.scale, half_to_float(float_to_half(half.scale)));
  EXPECT_EQ(half.scale, half_to_float(float_to_half(2.55f / 255.0f)));
  EXPECT_EQ(choose_qparams(Tensor::empty(DType::float32, {0}), int8_range, 0x1p-12, DType::int8), (ScaleZeroPoint{0x1p-12f, -128}));
  EXPECT_THROW(choose_qparams(x, int8_range, 1e-7, DType::int16), Error);
  EXPECT_THROW(choose_qparams(Tensor::of<float>({not_a_number}, {1}), int8_range, 1e-7, DType::int8), Error);
}

TEST(QuantizePerTensor, RoundsHalfToEvenAndClamps) {
  const Tensor x = Tensor::of<float>({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.6f, 200.0f, -1e30f, infinity, -infinity}, {10});
  EXPECT_EQ(values_of<int8_t>(quantize_per_tensor(x, 1.0, 0, int8_range, DType::int8)),
            (std::vector<int64_t>{0, 2, 2, 0, -2, 127, 127, -128, 127, -128}));
  EXPECT_EQ(values_of<int8_t>(quantize_per_tensor(x, 1.0, 10, {-127, 127}, DType::int8)),
            (std::vector<int64_t>{10, 12, 12, 10, 8, 127, 127, -127, 127, -127}));
  EXPECT_EQ(values_of<uint8_t>(quantize_per_tensor(x, 0.5, 3, {0, 255}, DType::uint8)),
            (std::vector<int64_t>{4, 6, 8, 2, 0, 255, 255, 0, 255, 0}));
  EXPECT_EQ(values_of<uint16_t>(quantize_per_tensor(x, 0.5, 3, {0, 65535}, DType::uint16)),
            (std::vector<int64_t>{4, 6, 8, 2, 0, 256, 403, 0, 65535, 0}));
}

TEST(QuantizePerTensor, MultipliesByTheInverse) {
  // The double inverse of 0.1 is 10; 0.35 * 10 rounds to 3.5 in float32, and 3.5 goes to the even 4.
  const Tensor x = Tensor::of<float>({0.35f, 0.25f}, {2});
  EXPECT_EQ(values_of<int8_t>(quantize_per_tensor(x, 0.1, 0, int8_range, DType::int8)), (std::vector<int64_t>{4, 2}));
}

TEST(QuantizePerTensor, NaNAndLargeIntegers) {
  const Tensor x = Tensor::of<float>({not_a_number, 1e10f, -1e10f, 16777217.0f}, {4});
  EXPECT_EQ(values_of<int8_t>(quantize_per_tensor(x, 1.0, 5, int8_range, DType::int8)), (std::vector<int64_t>{0, 127, -128, 127}));
  EXPECT_EQ(values_of<int32_t>(quantize_per_tensor(x, 1.0, 0, range_of(DType::int32), DType::int32)),
            (std::vector<int64_t>{-2147483648LL, 2147483647LL, -2147483648LL, 16777216}));
}

TEST(QuantizePerTensor, RefusesWhatItCannotTake) {
  const Tensor x = Tensor::of<float>({1.0f}, {1});
  EXPECT_THROW(quantize_per_tensor(x, 0.0, 0, int8_range, DType::int8), Error);
  EXPECT_THROW(quantize_per_tensor(x, 1.0, 0, {-129, 127}, DType::int8), Error);
  EXPECT_THROW(quantize_per_tensor(x, 1.0, 0, int8_range, DType::int64), Error);
  EXPECT_THROW(quantize_per_tensor(Tensor::of<int32_t>({1}, {1}), 1.0, 0, int8_range, DType::int8), Error);
  EXPECT_THROW(dequantize_per_tensor(x, 1.0, 0), Error);
}

TEST(QuantizePerTensor, KeepsDenseLayouts) {
  const Tensor x = Tensor::of<float>({0, 1, 2, 3, 4, 5}, {1, 3, 2, 1});
  const std::vector<int64_t> swap{0, 2, 1, 3};
  const Tensor q = quantize_per_tensor(x.permuted(swap), 1.0, 0, int8_range, DType::int8);
  EXPECT_EQ(q.sizes(), (Sizes{1, 2, 3, 1}));
  EXPECT_EQ(q.strides(), x.permuted(swap).strides());
  EXPECT_EQ(values_of<int8_t>(q), (std::vector<int64_t>{0, 2, 4, 1, 3, 5}));
  const Tensor gaps = quantize_per_tensor(x.narrowed(1, 0, 2, 2), 1.0, 0, int8_range, DType::int8);
  EXPECT_EQ(values_of<int8_t>(gaps), (std::vector<int64_t>{0, 1, 4, 5}));
}

TEST(DequantizePerTensor, SubtractsThenScales) {
  const Tensor q = Tensor::of<int8_t>({-128, 0, 127}, {3});
  EXPECT_EQ(floats_of(dequantize_per_tensor(q, 0.5, -28)), (std::vector<float>{-50.0f, 14.0f, 77.5f}));
  // Narrow outputs are rounded after each step: 28 * 0.1 in half.
  const Tensor half = dequantize_per_tensor(q, 0.1, -28, DType::float16);
  EXPECT_EQ(half.dtype(), DType::float16);
  EXPECT_EQ(floats_of(half)[1], half_to_float(float_to_half(28.0f * 0.1f)));
}

TEST(PerChannel, AnyAxisAndLayout) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const std::vector<float> two{1.0f, 0.5f}, three{1.0f, 0.5f, 2.0f};
  const std::vector<int64_t> zero{0}, shifts{0, 1, -1};
  EXPECT_EQ(values_of<int8_t>(quantize_per_channel(x, two, zero, 0, int8_range, DType::int8)), (std::vector<int64_t>{1, 2, 3, 8, 10, 12}));
  const std::vector<int64_t> by_column{1, 5, 1, 4, 11, 2};  // 3/2 = 1.5 -> 2, 6/2 = 3, one less each
  EXPECT_EQ(values_of<int8_t>(quantize_per_channel(x, three, shifts, 1, int8_range, DType::int8)), by_column);
  // The same numbers stored column by column.
  const Tensor columns = Tensor::of<float>({1, 4, 2, 5, 3, 6}, {3, 2}).permuted(std::vector<int64_t>{1, 0});
  const Tensor q = quantize_per_channel(columns, three, shifts, -1, int8_range, DType::int8);
  EXPECT_EQ(values_of<int8_t>(q), by_column);
  EXPECT_EQ(floats_of(dequantize_per_channel(q, three, shifts, 1)), (std::vector<float>{1, 2, 4, 4, 5, 6}));
  EXPECT_THROW(quantize_per_channel(x, two, zero, 1, int8_range, DType::int8), Error);
  EXPECT_THROW(quantize_per_channel(x, two, zero, 2, int8_range, DType::int8), Error);
}

TEST(PerChannel, Int32SubtractsAsIntegers) {
  const Tensor q = Tensor::of<int32_t>({16777217, 5}, {2});
  const std::vector<float> scale{1.0f};
  EXPECT_EQ(floats_of(dequantize_per_channel(q, scale, std::vector<int64_t>{1}, 0))[0], 16777216.0f);
  EXPECT_EQ(floats_of(dequantize_per_channel(q, scale, std::vector<int64_t>{-2}, 0))[0], 16777219.0f + 1.0f);
}

TEST(QuantParamsForms, RoundTrip) {
  const Tensor x = Tensor::of<float>({-1.0f, 0.0f, 1.0f}, {3});
  const QuantParams params{.scale = {0.5f}, .zero_point = {1}};
  EXPECT_EQ(values_of<int8_t>(quantize(x, params)), (std::vector<int64_t>{-1, 1, 3}));
  EXPECT_EQ(floats_of(dequantize(quantize(x, params), params)), (std::vector<float>{-1, 0, 1}));
}

TEST(QuantParamsForms, BlockSizes) {
  EXPECT_TRUE(QuantParams{}.is_per_tensor());
  EXPECT_EQ(channel_blocks(2), (std::vector<int64_t>{whole_dimension, whole_dimension, 1}));
  EXPECT_EQ(QuantParams{.block_size = channel_blocks(2)}.axis(), 2);
  for (const std::vector<int64_t>& blocks : {std::vector<int64_t>{}, {1, 32}, {1, 1}, {16}, {whole_dimension, 2}})
    EXPECT_FALSE(QuantParams{.block_size = blocks}.axis());
}

// Two groups in each of two rows.
TEST(QuantParamsForms, PerGroup) {
  const Tensor x = Tensor::of<float>({-1, 0.5f, 8, -6, 0.25f, 0.5f, 100, -100}, {2, 4});
  const QuantParams params{.scale = {0.5, 2, 0.25, 10}, .zero_point = {0, 1, -1, 0}, .block_size = {1, 2}, .quant_min = -8, .quant_max = 7};
  const Tensor q = quantize(x, params);
  EXPECT_EQ(values_of<int8_t>(q), (std::vector<int64_t>{-2, 1, 5, -2, 0, 1, 7, -8}));
  EXPECT_EQ(floats_of(dequantize(q, params)), (std::vector<float>{-1, 0.5f, 8, -6, 0.25f, 0.5f, 70, -80}));
  EXPECT_EQ(dequantize(q, params, DType::float16).dtype(), DType::float16);
  // The operand's layout does not matter.
  const Tensor turned = Tensor::of<float>({-1, 0.25f, 0.5f, 0.5f, 8, 100, -6, -100}, {4, 2}).permuted(std::vector<int64_t>{1, 0});
  EXPECT_TRUE(bit_equal(quantize(turned, params), q));
}

TEST(QuantParamsForms, BlocksOfSeveralRows) {
  const Tensor q = Tensor::of<int8_t>({1, 2, 3, 4, 5, 6, 7, 8}, {4, 2});
  const QuantParams params{.scale = {1, 10}, .zero_point = {0, 1}, .block_size = {2}};
  EXPECT_EQ(floats_of(dequantize(q, params)), (std::vector<float>{1, 2, 3, 4, 40, 50, 60, 70}));
}

TEST(QuantParamsForms, BlocksThatDoNotFitAreRefused) {
  const Tensor x = Tensor::zeros(DType::float32, {2, 4});
  const QuantParams params{.scale = {1}, .zero_point = {0}, .block_size = {1, 2}};
  const auto refuses = [&](std::vector<int64_t> block_size, std::vector<double> scale) {
    QuantParams other = params;
    other.block_size = std::move(block_size);
    other.scale = std::move(scale);
    EXPECT_THROW(quantize(x, other), Error);
  };
  EXPECT_NO_THROW(quantize(x, params));
  refuses({1, 3}, {1});
  refuses({1, 0}, {1});
  refuses({1, 2, 1}, {1});
  refuses({1, 2}, {1, 1});
}

TEST(QuantParamsForms, CodeBooks) {
  const Tensor codes = Tensor::of<uint8_t>({0, 1, 3, 2, 1, 1, 0, 3}, {4, 2});
  QuantParams params{.block_size = {2}, .quant_min = 0, .quant_max = 3, .dtype = DType::uint8};
  params.code_book = Tensor::of<double>({0.5, -1, 2, 4, 10, 20, 30, 40}, {2, 1, 4, 1});
  EXPECT_EQ(floats_of(dequantize(codes, params)), (std::vector<float>{0.5f, -1, 4, 2, 20, 20, 10, 40}));
  EXPECT_THROW(dequantize(Tensor::of<uint8_t>({4, 0, 0, 0}, {4, 1}), params), Error);
  params.block_size = {};
  EXPECT_THROW(dequantize(codes, params), Error);  // two books for one block
}

TEST(Bias, PerTensorAndPerChannel) {
  const std::vector<float> bias{1.0f, -2.5f, 1e12f};
  const QuantizedBias one = quantize_bias(bias, 0.5, 0.5);
  EXPECT_EQ(one.values, (std::vector<int32_t>{4, -10, 2147483647}));
  EXPECT_EQ(one.scales, std::vector<float>{0.25f});
  const QuantizedBias each = quantize_bias(bias, 0.5, std::vector<float>{0.5f, 2.0f, 1.0f});
  EXPECT_EQ(each.values, (std::vector<int32_t>{4, -2, 2147483647}));  // -2.5 to the even -2
  EXPECT_EQ(each.scales, (std::vector<float>{0.25f, 1.0f, 0.5f}));
  EXPECT_THROW(quantize_bias(bias, 0.5, std::vector<float>{0.5f, 2.0f}), Error);
}

}  // namespace
}  // namespace intaglio::quant
