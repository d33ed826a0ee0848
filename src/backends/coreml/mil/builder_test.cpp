#include "backends/coreml/mil/builder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "testing/errors.h"

namespace intaglio::coreml {
namespace {

using test::refusal_of;

std::string hex_of(const Literal& literal) {
  std::string text;
  for (const std::byte byte : literal.data.bytes()) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

// What the format's own writer makes of these.
TEST(CoreMLLiteral, PacksFromTheLowestBitOn) {
  const Tensor small = Tensor::of<int8_t>({1, 2, 3, 4, 5, 6, 7}, {7});
  EXPECT_EQ(hex_of(packed_literal(small, DataType::int4)), "21436507");
  EXPECT_EQ(hex_of(packed_literal(small, DataType::uint3)), "d1581f");
  EXPECT_EQ(hex_of(packed_literal(small, DataType::uint6)),
            "81301085"
            "7100");
  EXPECT_EQ(hex_of(packed_literal(Tensor::of<uint8_t>({1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1}, {11}), DataType::uint1)), "cd05");
  EXPECT_EQ(hex_of(packed_literal(Tensor::of<int8_t>({-8, 7, -1}, {3}), DataType::int4)), "780f");
}

TEST(CoreMLLiteral, UnpacksWhatItPacked) {
  for (const DataTypeRow& row : data_types) {
    if (row.bits == 0 || row.bits >= 8) continue;
    // More than one piece.
    Tensor integers = Tensor::empty(row.is_signed ? DType::int8 : DType::uint8, {3, 70'001});
    auto* elements = static_cast<uint8_t*>(integers.mutable_raw());
    for (int64_t i = 0; i < integers.numel(); ++i)
      elements[i] = static_cast<uint8_t>((i * 7 + i / 11) % (1 << row.bits) - (row.is_signed ? 1 << (row.bits - 1) : 0));
    const Literal packed = packed_literal(integers, row.type);
    EXPECT_EQ(packed.data.size(), packed_size(row.type, integers.numel()));
    EXPECT_TRUE(bit_equal(elements_of(packed), integers)) << row.name;
  }
}

TEST(CoreMLLiteral, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal_of(ErrorKind::bug, [] { packed_literal(Tensor::of<int8_t>({8}, {1}), DataType::int4).data.bytes(); }),
            "8 does not fit into int4");
  EXPECT_EQ(refusal_of(ErrorKind::bug, [] { packed_literal(Tensor::of<int8_t>({-1}, {1}), DataType::uint4).data.bytes(); }),
            "255 does not fit into uint4");
}

TEST(CoreMLNames, AreWhatMilTakes) {
  EXPECT_EQ(mil_name("aten.relu"), "aten_relu");
  EXPECT_EQ(mil_name("1x"), "_1x");
  EXPECT_EQ(mil_name(""), "_");
  EXPECT_EQ(mil_name("fp16"), "fp16_value");
  FunctionBuilder builder(Version::ios15, "main");
  EXPECT_EQ(builder.input("a.b", {}).name, "a_b");
  EXPECT_EQ(builder.input("a_b", {}).name, "a_b_1");
}

Literal halves(Sizes sizes) { return literal(converted(Tensor::zeros(DType::float32, std::move(sizes)), DType::float16)); }
Literal bytes(Sizes sizes) { return literal(Tensor::zeros(DType::int8, std::move(sizes))); }

std::string first_line(FunctionBuilder& builder, const NamedType& result) {
  const Function function = builder.finish({result});
  return to_string(function.body.operations.at(0));
}

// Equal constants and operations are one, what is given keeps its name, and what nobody reads goes.
TEST(CoreMLBuilder, KeepsWhatIsReadOnce) {
  FunctionBuilder builder(Version::ios17, "main");
  const ValueType type = {DataType::float32, {2}};
  const NamedType x = builder.input("x", type);
  const auto plus_one = [&](const char* name) { return builder.op("add", name, {{"x", x}, {"y", scalar_literal(1.0f)}}, type); };
  const NamedType a = plus_one("a"), b = plus_one("b"), c = plus_one("c");
  builder.op("exp", "unread", {{"x", a}}, type);
  const NamedType d = builder.op("mul", "d", {{"x", a}, {"y", b}}, type);
  EXPECT_EQ(to_string(Program{Version::ios17, {builder.finish({d, c})}}), R"(CoreML7
main(%x: fp32[2]):
  %a_y: fp32 = const(val=fp32(1))
  %a: fp32[2] = add(x=%x, y=%a_y)
  %c: fp32[2] = add(x=%x, y=%a_y)
  %d: fp32[2] = mul(x=%a, y=%a)
  return %d, %c
)");
}

TEST(CoreMLConstexpr, AttributesThenInputs) {
  FunctionBuilder before(Version::ios16, "main");
  EXPECT_EQ(first_line(before, before.affine_dequantize("w", bytes({3, 4}), halves({3}), bytes({3}), 0)),
            "%w: fp16[3,4] = constexpr_affine_dequantize(axis=int32(0), quantized_data=int8[3,4], scale=fp16[3]([0, 0, 0]), "
            "zero_point=int8[3]([0, 0, 0]))");
  FunctionBuilder after(Version::ios18, "main");
  const Literal int4 = packed_literal(Tensor::zeros(DType::int8, {3, 4}), DataType::int4);
  const NamedType w = after.blockwise_shift_scale("w", int4, halves({3, 2}), std::nullopt);
  const Function function = after.finish({w});
  EXPECT_EQ(to_string(function.body.operations[0]),
            "%w: fp16[3,4] = constexpr_blockwise_shift_scale(data=int4[3,4], scale=fp16[3,2]([0, 0, 0, 0, 0, 0]))");
  EXPECT_EQ(function.body.operations[0].inputs.size(), 2u);
}

// Bits that no type has, and the table that grows with them.
TEST(CoreMLConstexpr, TablesOfAnyBits) {
  struct Case {
    Version version;
    int bits;
    std::string text;
  };
  const Case cases[] = {{Version::ios18, 3, "indices=uint3[4,8], lut=fp16[1,1,8,1]"},
                        {Version::ios18, 5, "indices=uint6[4,8], lut=fp16[1,1,64,1]"},
                        {Version::ios18, 7, "indices=uint8[4,8], lut=fp16[1,1,256,1]"},
                        {Version::ios16, 3, "indices=uint8[16], lut=fp16[16], shape=uint32[2]([4, 8])"},
                        {Version::ios16, 8, "indices=uint8[32], lut=fp16[256], shape=uint32[2]([4, 8])"}};
  for (const Case& c : cases) {
    FunctionBuilder builder(c.version, "main");
    const Tensor table = Tensor::zeros(DType::float16, {1, 1, int64_t{1} << c.bits, 1});
    const std::string line = first_line(builder, builder.lut_to_dense("w", Tensor::zeros(DType::uint8, {4, 8}), table, c.bits));
    EXPECT_NE(line.find(c.text), std::string::npos) << line;
  }
}

TEST(CoreMLConstexpr, NameTheTargetToAskFor) {
  FunctionBuilder builder(Version::ios15, "main");
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { builder.affine_dequantize("w", bytes({3, 4}), halves({3}), bytes({3}), 0); }),
            "8-bit weights need minimum_deployment_target=iOS16; iOS15 was asked for");
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { builder.blockwise_shift_scale("w", bytes({3, 4}), halves({3, 2}), std::nullopt); }),
            "4-bit weights and scales of groups need minimum_deployment_target=iOS18; iOS15 was asked for");
  const Tensor tables = Tensor::zeros(DType::float16, {2, 1, 4, 1});
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { builder.lut_to_dense("w", Tensor::zeros(DType::uint8, {2, 8}), tables, 2); }),
            "weights with a table for each block need minimum_deployment_target=iOS18; iOS15 was asked for");
}

}  // namespace
}  // namespace intaglio::coreml
