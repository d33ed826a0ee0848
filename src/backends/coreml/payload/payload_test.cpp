#include "backends/coreml/payload/payload.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "backends/coreml/mil/builder.h"
#include "backends/coreml/payload/decode_payload.h"
#include "backends/coreml/payload/weight_file.h"
#include "testing/errors.h"

namespace intaglio::coreml {
namespace {

Literal weight(Sizes sizes) {
  Tensor tensor = Tensor::empty(DType::float32, std::move(sizes));
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data<float>()[i] = 0.25f * static_cast<float>(i) - 1;
  return literal(std::move(tensor));
}

std::string hex(const Blob& blob) {
  std::string text;
  for (const std::byte byte : blob.bytes()) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

// A linear layer, a sum with itself as a list, a state, a dimension of any size.
Program varied_program() {
  FunctionBuilder builder(Version::ios18, "main");
  const NamedType x = builder.input("x.1", {DataType::float32, {unknown_size, 4}}, {{2, 16}, {4, 4}});
  const NamedType memory = builder.input("state", {DataType::float16, {3}, true});
  const NamedType y =
      builder.op("linear", "fp16", {{"x", x}, {"weight", weight({3, 4})}, {"bias", weight({3})}}, {DataType::float32, {unknown_size, 3}});
  const NamedType now = builder.op("read_state", "now", {{"input", memory}}, ValueType{DataType::float16, {3}});
  const NamedType both = builder.op(
      "concat", "x.1", {{"values", std::vector{y, y}}, {"axis", scalar_literal(int32_t{1})}, {"interleave", scalar_literal(false)}},
      {DataType::float32, {unknown_size, 6}});
  const std::vector<NamedType> halves =
      builder.op("split", "halves", {{"x", both}, {"split_sizes", int32_literal({3, 3})}, {"axis", scalar_literal(int32_t{1})}},
                 std::vector<ValueType>{{DataType::float32, {unknown_size, 3}}, {DataType::float32, {unknown_size, 3}}});
  return {Version::ios18, {builder.finish({both, halves[1], now})}};
}

constexpr const char* varied_text = R"(CoreML8
main(%x_1: fp32[?,4], %state_value: state<fp16[3]>):
  %fp16_value_bias: fp32[3] = const(val=fp32[3]([-1, -0.75, -0.5]))
  %fp16_value_weight: fp32[3,4] = const(val=fp32[3,4])
  %fp16_value: fp32[?,3] = linear(bias=%fp16_value_bias, weight=%fp16_value_weight, x=%x_1)
  %now: fp16[3] = read_state(input=%state_value)
  %x_1_1_axis: int32 = const(val=int32(1))
  %x_1_1_interleave: bool = const(val=bool(0))
  %x_1_1: fp32[?,6] = concat(axis=%x_1_1_axis, interleave=%x_1_1_interleave, values=(%fp16_value, %fp16_value))
  %halves_split_sizes: int32[2] = const(val=int32[2]([3, 3]))
  %halves_0: fp32[?,3], %halves_1: fp32[?,3] = split(axis=%x_1_1_axis, split_sizes=%halves_split_sizes, x=%x_1_1)
  return %x_1_1, %halves_1, %now
)";

TEST(CoreMLPayload, ReadsBackAsWritten) {
  const Program program = varied_program();
  EXPECT_EQ(to_string(program), varied_text);
  const std::vector<std::byte> bytes = write_payload(program).bytes();
  const Payload read = read_payload(bytes);
  EXPECT_EQ(to_string(read.program), varied_text);
  EXPECT_EQ(read.program.functions[0].inputs, program.functions[0].inputs);
  EXPECT_EQ(read.identifier.size(), std::string("executorch_").size() + 36);
  const Literal& stored = read.program.functions[0].body.operations[1].attributes[1].value;
  EXPECT_EQ(elements_of(stored).span<float>()[11], 1.75f);
  EXPECT_EQ(write_payload(read.program).bytes(), bytes) << "equal programs are equal bytes";
}

TEST(CoreMLPayload, DecodesToNodes) {
  const std::vector<DecodedNode> nodes = decode_payload(write_payload(varied_program()).bytes()).nodes;
  ASSERT_EQ(nodes.size(), 4u);
  EXPECT_EQ(nodes[0].kind, "linear");
  EXPECT_EQ(nodes[0].op, "linear");
  EXPECT_EQ(nodes[0].inputs[1].sizes, (Sizes{3, 4}));
  EXPECT_EQ(nodes[0].output.dtype, "fp32");
  EXPECT_EQ(nodes[2].inputs.size(), 4u);
  EXPECT_EQ(nodes[3].text,
            "%halves_0: fp32[?,3], %halves_1: fp32[?,3] = split(axis=%x_1_1_axis, split_sizes=%halves_split_sizes, x=%x_1_1)");
}

TEST(CoreMLPayload, EndsInItsTableReadBackwards) {
  const std::vector<std::byte> bytes = write_payload(varied_program()).bytes();
  EXPECT_EQ(std::memcmp(bytes.data() + bytes.size() - 9, ":\"sedon\"{", 9), 0);
  std::vector<std::byte> padded = bytes;
  padded.resize(bytes.size() + 100);
  EXPECT_EQ(to_string(read_payload(padded).program), varied_text);
}

TEST(CoreMLPayload, FolderWithoutFiles) {
  const std::vector<std::byte> bytes =
      file_system_blob("root", {{"b/c.txt", Blob("two")}, {"a", Blob("one")}, {"weights/", {}}, {"b/d", {}}}).bytes();
  const std::vector<StoredFile> files = read_file_system(bytes);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "a");
  EXPECT_EQ(files[1].path, "b/c.txt");
  EXPECT_EQ(std::memcmp(files[1].data.data(), "two", 3), 0);
  EXPECT_EQ(files[2].path, "b/d");
}

TEST(CoreMLPayload, DamageIsBadInput) {
  const std::vector<std::byte> whole = write_payload(varied_program()).bytes();
  EXPECT_EQ(test::refusal_of(ErrorKind::bad_input, [&] { read_payload({}); }), "a Core ML payload: no table of files stands at its end");
  // Each byte changed in two ways, and each end cut: a payload or one error, and nothing else.
  int refused = 0;
  for (size_t i = 0; i < whole.size(); ++i)
    for (const std::byte flip : {std::byte{1}, std::byte{0x80}}) {
      std::vector<std::byte> bytes = whole;
      bytes[i] ^= flip;
      try {
        decode_payload(bytes);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::bad_input) << "byte " << i << ": " << error.what();
        ++refused;
      }
    }
  EXPECT_GT(refused, static_cast<int>(whole.size()));
  for (size_t size = 0; size < whole.size(); size += 7)
    test::refusal_of(ErrorKind::bad_input, [&] { read_payload(std::span(whole).first(size)); });
}

TEST(CoreMLPayload, TableOfFilesThatLies) {
  const auto message = [](std::string text) {
    std::ranges::reverse(text);
    return test::refusal_of(ErrorKind::bad_input, [&] { read_file_system(std::as_bytes(std::span(text))); });
  };
  const std::string file = R"({"name":"f","kind":0,"children":{},"dataRegion":{"offset":0,"size":0}})";
  const auto folder = [](const std::string& children) {
    return R"({"name":"r","kind":1,"children":)" + children + R"(,"dataRegion":{"offset":0,"size":0}})";
  };
  const auto nodes = [](const std::string& list) { return R"({"nodes":[)" + list + "]}"; };
  EXPECT_EQ(message(nodes("")), "a Core ML payload: its table of files is empty");
  EXPECT_EQ(message(nodes(folder(R"({"r":0})"))), "a Core ML payload: the node 0 is in two folders");
  EXPECT_EQ(message(nodes(file + "," + folder(R"({"a":0,"b":0})"))), "a Core ML payload: the node 0 is in two folders");
  EXPECT_EQ(message(nodes(file + "," + folder(R"({"..":0})"))), "a Core ML payload: a file has the name '..'");
  EXPECT_EQ(message(nodes(file + "," + folder(R"({"a":7})"))), "a Core ML payload: 'a' is the node 7, of 2");
  EXPECT_EQ(message(nodes(R"({"name":"f","kind":0,"children":{},"dataRegion":{"offset":1,"size":1}},)" + folder(R"({"f":0})"))),
            "a Core ML payload: 'f' lies outside of it");
  EXPECT_EQ(message(nodes(R"({"name":"f","kind":0,"children":{},"dataRegion":{"offset":-1,"size":2}},)" + folder(R"({"f":0})"))),
            "a Core ML payload: 'f' lies outside of it");
}

TEST(CoreMLWeightFile, RecordsAndWhatSharesThem) {
  WeightFileWriter writer(Version::ios18);
  EXPECT_FALSE(writer.takes(weight({9})));
  EXPECT_TRUE(writer.takes(weight({10})));
  EXPECT_FALSE(writer.takes(literal(Tensor::zeros(DType::boolean, {100}))));
  EXPECT_TRUE(writer.takes(literal(Tensor::zeros(DType::int32, {10}))));
  EXPECT_FALSE(WeightFileWriter(Version::ios17).takes(literal(Tensor::zeros(DType::int32, {10}))));
  EXPECT_TRUE(writer.blob().empty());
  EXPECT_EQ(writer.add(weight({10})), 64u);
  EXPECT_EQ(writer.add(weight({2, 5})), 64u);
  // The same bytes, one element less: another record.
  EXPECT_EQ(writer.add(packed_literal(Tensor::of<uint8_t>({1, 0, 3, 1, 2, 3, 0, 1, 2, 3, 1, 0}, {12}), DataType::uint2)), 192u);
  EXPECT_EQ(writer.add(packed_literal(Tensor::of<uint8_t>({1, 0, 3, 1, 2, 3, 0, 1, 2, 3, 1}, {11}), DataType::uint2)), 320u);
  const Blob blob = writer.blob();
  EXPECT_EQ(hex(blob).substr(0, 32),
            "03000000"
            "02000000"
            "0000000000000000");
  EXPECT_EQ(hex(blob).substr(2 * 320, 64),
            "efbeadde"
            "0a000000"
            "0300000000000000"
            "8001000000000000"
            "0200000000000000");
  EXPECT_EQ(blob.size(), 384u + 3u);
  const std::vector<std::byte> bytes = blob.bytes();
  EXPECT_EQ(elements_of(read_weight(bytes, 320, {DataType::uint2, {11}})).span<uint8_t>()[9], 3);
  const auto refused = [&](uint64_t offset, ValueType type) {
    return test::refusal_of(ErrorKind::bad_input, [&] { read_weight(bytes, offset, type); });
  };
  EXPECT_EQ(refused(320, {DataType::uint2, {12}}), "weight.bin, record at 320: 3 bytes for uint2[12]");
  EXPECT_EQ(refused(320, {DataType::uint2, {int64_t{1} << 40, 1 << 20}}),
            "weight.bin, record at 320: 3 bytes for uint2[1099511627776,1048576]");
  EXPECT_EQ(refused(320, {DataType::uint4, {6}}), "weight.bin, record at 320: no constant of type uint4");
  EXPECT_EQ(refused(65, {DataType::float32, {10}}), "weight.bin, record at 65: not at a multiple of 64");
  EXPECT_EQ(refused(128, {DataType::float32, {10}}), "weight.bin, record at 128: no constant of type fp32");
}

}  // namespace
}  // namespace intaglio::coreml
