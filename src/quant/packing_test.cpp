#include "quant/packing.h"

#include <gtest/gtest.h>

#include "testing/errors.h"

namespace intaglio::quant {
namespace {

std::vector<int> bytes_of(const Tensor& tensor) { return {tensor.span<uint8_t>().begin(), tensor.span<uint8_t>().end()}; }

TEST(Packing, FourBitsFromEitherEnd) {
  const Tensor q = Tensor::of<int8_t>({-8, 7, 0, -1}, {2, 2});
  EXPECT_EQ(bytes_of(packed(q, 4, First::low_bits)), (std::vector<int>{0xF0, 0x78}));
  EXPECT_EQ(bytes_of(packed(q, 4, First::high_bits)), (std::vector<int>{0x0F, 0x87}));
  EXPECT_EQ(packed(q, 4, First::low_bits).sizes(), (Sizes{2, 1}));
}

TEST(Packing, TwoBits) {
  const Tensor q = Tensor::of<int8_t>({-2, -1, 0, 1}, {1, 4});
  EXPECT_EQ(bytes_of(packed(q, 2, First::low_bits)), (std::vector<int>{0b11'10'01'00}));
}

std::vector<int> integers_of(const Tensor& tensor) { return {tensor.span<int32_t>().begin(), tensor.span<int32_t>().end()}; }

TEST(Packing, RowsAndColumnsOfZerosAreAdded) {
  const Tensor q = Tensor::of<int8_t>({-8, 7, 1, 2, 3, 4}, {2, 3});
  const Tensor padded = packed(q, 4, First::low_bits, {3, 4});
  EXPECT_EQ(padded.sizes(), (Sizes{3, 2}));
  EXPECT_EQ(bytes_of(padded), (std::vector<int>{0xF0, 0x89, 0xBA, 0x8C, 0x88, 0x88}));
}

TEST(Packing, SumsOfGroupsLieGroupByGroup) {
  const Tensor q = Tensor::of<int8_t>({-8, 7, 1, 2, 3, 4, 5, 6}, {2, 4});
  const PackedGroups made = packed_with_sums(q, 4, First::low_bits, {4, 8}, 2);
  EXPECT_TRUE(bit_equal(made.integers, packed(q, 4, First::low_bits, {4, 8})));
  EXPECT_EQ(made.sums.sizes(), (Sizes{2, 4}));
  EXPECT_EQ(integers_of(made.sums), (std::vector<int>{-1, 7, 0, 0, 3, 11, 0, 0}));
}

TEST(Packing, WhatDoesNotFitIsRefused) {
  const Tensor q = Tensor::of<int8_t>({0, 8}, {1, 2});
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { packed(q, 4, First::low_bits); }).find("outside [-8, 7]"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::quant
