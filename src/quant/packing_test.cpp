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

TEST(Packing, WhatDoesNotFitIsRefused) {
  const Tensor q = Tensor::of<int8_t>({0, 8}, {1, 2});
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { packed(q, 4, First::low_bits); }).find("outside [-8, 7]"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::quant
