#include "quant/blocks.h"

#include <gtest/gtest.h>

namespace intaglio::quant {
namespace {

using Ints = std::vector<int64_t>;

std::vector<float> floats(const Tensor& x) {
  const Tensor wide = converted(x, DType::float32).contiguous();
  return {wide.span<float>().begin(), wide.span<float>().end()};
}

TEST(Blocks, DimensionsThatABlockCoversAreLeftOut) {
  const Tensor x = Tensor::of<float>({0, 10, -5, 5, 1, 2, 3, 4}, {2, 1, 4});
  ChooseOptions options{.block_size = {1, 1, 4}, .mapping = MappingType::asymmetric, .range = {-8, 7}};
  ScalesAndZeroPoints rows = choose_qparams_in_blocks(x, options);
  EXPECT_EQ(rows.scale.sizes(), (Sizes{2, 1}));
  EXPECT_EQ(rows.scale.span<float>()[0], 1.0f);
  EXPECT_EQ(rows.zero_point.span<int32_t>()[0], -3);
  EXPECT_EQ(rows.zero_point.span<int32_t>()[1], -8);
  options.keepdim = true;
  EXPECT_EQ(choose_qparams_in_blocks(x, options).scale.sizes(), (Sizes{2, 1, 1}));
  options.keepdim = false;
  options.block_size = {1, 1, 2};
  EXPECT_EQ(choose_qparams_in_blocks(x, options).scale.sizes(), (Sizes{2, 1, 2}));
  options.block_size = {2, 1, 4};
  EXPECT_EQ(choose_qparams_in_blocks(x, options).scale.sizes(), (Sizes{1}));
}

// 0.5 * 3 is a tie before the zero point, and a tie behind it: even and odd zero points show the order.
TEST(Blocks, TheTwoLibrariesRoundAtDifferentPlaces) {
  const Tensor x = Tensor::of<float>({0.5f, 1.5f}, {1, 2});
  const BlockParams params{{1, 2}, Tensor::of<float>({1}, {1}), Tensor::of<int32_t>({1}, {1}), {-8, 7}};
  const Tensor torchao = quantize_in_blocks(x, params, DType::int8, BlockOrder::torchao);
  const Tensor decomposed = quantize_in_blocks(x, params, DType::int8, BlockOrder::decomposed);
  EXPECT_EQ(floats(torchao), (std::vector<float>{1, 3}));
  EXPECT_EQ(floats(decomposed), (std::vector<float>{2, 2}));
  EXPECT_EQ(floats(dequantize_in_blocks(torchao, params, DType::float32, BlockOrder::torchao)), (std::vector<float>{0, 2}));
}

TEST(Blocks, BlocksOfRowsAndColumns) {
  const Tensor q = Tensor::of<int8_t>({1, 1, 1, 1, 1, 1, 1, 1}, {2, 4});
  const BlockParams params{{1, 2}, Tensor::of<float>({1, 2, 3, 4}, {2, 2}), {}, {-8, 7}};
  EXPECT_EQ(floats(dequantize_in_blocks(q, params, DType::bfloat16, BlockOrder::torchao, 2)), (std::vector<float>{1, 1, 2, 2, 3, 3, 4, 4}));
}

// The zero point comes from the side whose rounding is off by less.
TEST(Blocks, RowsOfActivations) {
  const Tensor x = Tensor::of<float>({-1, 0.5f, 1.55f, 0, 0, 0}, {2, 3});
  const ScalesAndZeroPoints rows = choose_qparams_per_token(x, true);
  EXPECT_EQ(rows.scale.sizes(), (Sizes{2, 1}));
  EXPECT_EQ(rows.scale.span<double>()[0], static_cast<double>(2.55f / 255.0f));
  EXPECT_EQ(rows.zero_point.span<int64_t>()[0], -28);
  EXPECT_EQ(rows.scale.span<double>()[1], 0x1p-23);
  EXPECT_EQ(choose_qparams_per_token(x, false).scale.span<float>()[0], 1.55f / 127.0f);
}

}  // namespace
}  // namespace intaglio::quant
