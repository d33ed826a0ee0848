// Damaged payloads are refused, broken graphs are never written.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <regex>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>
#include <nlohmann/json.hpp>

#include "backends/xnnpack/payload/payload_bytes.h"
#include "backends/xnnpack/preprocess.h"
#include "testing/errors.h"
#include "testing/program_builder.h"
#include "testing/source_dir.h"

namespace intaglio::xnnpack {
namespace {

using test::ProgramBuilder;

PayloadGraph small_graph(double input_scale = 0.05) {
  ProgramBuilder t;
  Value* x = t.qdq(t.input({1, 3, 8, 8}), input_scale, 3);
  Value* y = t.convolution(x, t.int8_weight("w", {4, 3, 3, 3}), t.weight("b", {4}), 1, 1);
  Value* z = t.qdq(t("aten.relu.default", y), 0.03, -128);
  t.returns({t("aten.view_copy.default", t("aten.slice_copy.Tensor", z, 1, 0, 2), std::vector<int64_t>{1, 128})});
  return lower_partition(t.program, Features{});
}

TEST(Payload, ReadsWhatWasWritten) {
  const PayloadGraph graph = small_graph();
  const WrittenPayload written = write_payload(graph);
  const auto without_keys = [](const PayloadGraph& shown) { return std::regex_replace(to_string(shown), std::regex("#[0-9a-f]{8}"), "#"); };
  EXPECT_EQ(without_keys(read_payload(written.bytes)), without_keys(graph));
  EXPECT_EQ(written.named_data.size(), 2u);
  EXPECT_EQ(written.bytes, write_payload(small_graph()).bytes);
}

// Whoever keeps what was packed finds it by these names: the input's scale is packed with the filter, not with the bias.
TEST(Payload, FiltersAreNamedForWhatIsPacked) {
  const auto keys = [](const WrittenPayload& payload) {
    std::map<size_t, std::string> by_size;
    for (const NamedData& named : payload.named_data) by_size[named.data.size()] = named.key;
    return by_size;
  };
  constexpr size_t filter = 4 * 3 * 3 * 3, bias = 4 * sizeof(int32_t);
  const std::vector<WrittenPayload> written = write_payloads({small_graph(), small_graph(), small_graph(0.1)}, {false, false, false});
  const auto first = keys(written[0]), equal = keys(written[1]), other = keys(written[2]);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first, equal);
  EXPECT_NE(first.at(filter), other.at(filter));
  EXPECT_NE(first.at(bias), other.at(bias));  // the bias is in steps of the product of both scales
  const auto same_bias = keys(write_payload(small_graph()));
  EXPECT_EQ(same_bias.at(bias), key_of(written[0].named_data.back().data.bytes()));
}

// A linear layer's weights are packed; the operand of a multiplication is read at every call.
TEST(Payload, LastingConstantsStandInsideWhereAsked) {
  ProgramBuilder t;
  Value* x = t("aten.linear.default", t.input({2, 8}), t.weight("w", {8, 8}), t.weight("b", {8}));
  t.returns({t("aten.mul.Tensor", x, t.weight("scale", {2, 8}))});
  const PayloadGraph graph = lower_partition(t.program, Features{});
  EXPECT_EQ(std::ranges::count(lasting_constants(graph), true), 1);
  EXPECT_EQ(runtime_needs(graph).since(), RuntimeVersion::v1_0);
  EXPECT_EQ(runtime_needs(graph).since_from_file(), RuntimeVersion::v1_4);

  const WrittenPayload outside = write_payload(graph), inside = write_payload(graph, true);
  EXPECT_EQ(outside.named_data.size(), 3u);
  ASSERT_EQ(inside.named_data.size(), 2u);
  const auto constants = common::split_payload(payload_format, inside.bytes).constant_data;
  EXPECT_GE(constants.size(), 8 * sizeof(float) + 16);  // with the room that microkernels read behind it
  const auto scale = std::ranges::find_if(outside.named_data, [&](const NamedData& named) {
    return std::ranges::none_of(inside.named_data, [&](const NamedData& other) { return other.key == named.key; });
  });
  ASSERT_NE(scale, outside.named_data.end());
  const std::vector<std::byte> bytes = scale->data.bytes();
  EXPECT_TRUE(std::ranges::equal(bytes, constants.first(bytes.size())));
  check_payload_header(inside.bytes);
  EXPECT_EQ(read_payload(inside.bytes).nodes.size(), graph.nodes.size());
  EXPECT_TRUE(common::split_payload(payload_format, outside.bytes).constant_data.empty());
}

TEST(Payload, ReleasesOfNodesAreTheRecords) {
  std::ifstream file(test::source_dir() / "tests/records/runtime_versions.json");
  const nlohmann::json recorded = nlohmann::json::parse(file)["xnnpack_nodes"];
  EXPECT_EQ(recorded.size(), 3u);
  for (int kind = 1; kind <= last_node_kind; ++kind) {
    const NodeKindInfo& row = info(static_cast<NodeKind>(kind));
    EXPECT_EQ(name(row.since), recorded.value(std::string(row.name), "1.0")) << row.name;
  }
}

TEST(Payload, DamageIsBadInput) {
  test::expect_damage_is_bad_input(write_payload(small_graph()).bytes,
                                   [](const std::vector<std::byte>& bytes) { to_string(read_payload(bytes)); });
}

TEST(Payload, MessagesNameTheCause) {
  const auto message = [](std::vector<std::byte> bytes) -> std::string {
    try {
      read_payload(bytes);
    } catch (const Error& error) { return error.what(); }
    return "";
  };
  std::vector<std::byte> bytes = write_payload(small_graph()).bytes;
  EXPECT_EQ(message({}), "an XNNPACK payload is cut short: 4 bytes are needed at offset 0, 0 are there");
  std::vector<std::byte> other = bytes;
  other[7] = std::byte{'1'};
  EXPECT_EQ(message(other), "an XNNPACK payload: the header begins with \"XH01\" where \"XH00\" was expected");
  other = bytes;
  other[32 + 4] = std::byte{'Y'};
  EXPECT_EQ(message(other), "XNNPACK payload: the flatbuffer inside is damaged");
}

TEST(PayloadHeader, PartsInsideAndAKnownVersion) {
  const std::vector<std::byte> good = write_payload(small_graph()).bytes;
  const auto message = [&](size_t at, auto value) -> std::string {
    std::vector<std::byte> bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    try {
      check_payload_header(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(0, uint32_t{0}), "");
  EXPECT_EQ(message(4, uint32_t{0}), "");  // as before there was a header
  EXPECT_EQ(message(36, std::array{'X', 'N', '0', '0'}), "");
  EXPECT_NE(message(10, uint32_t{1} << 30).find("bytes at 1073741824"), std::string::npos);
  EXPECT_NE(message(14, uint32_t{7}).find("its graph is 7 bytes at 32"), std::string::npos);
  EXPECT_NE(message(22, uint64_t{16}).find("its constants are 16 bytes"), std::string::npos);
  EXPECT_EQ(message(36, std::array{'X', 'N', '0', '2'}), "an XNNPACK payload is neither of version XN00 nor XN01");
  const std::span<const std::byte> cut = std::span(good).first(31);
  EXPECT_THROW(check_payload_header(cut), Error);
  EXPECT_THROW(XnnpackPartitioner().check(cut), Error);
}

struct Violation {
  const char* name;
  std::function<void(PayloadGraph&)> damage;
  const char* message;
};
PayloadNode& node_of(PayloadGraph& graph, NodeKind kind) {
  for (PayloadNode& node : graph.nodes)
    if (node.kind == kind) return node;
  throw_bug("no such node");
}
PayloadValue& value_of(PayloadGraph& graph, DataType type) {
  for (PayloadValue& value : graph.values)
    if (value.type == type) return value;
  throw_bug("no such value");
}

const Violation violations[] = {
    {"rank", [](PayloadGraph& g) { g.values[0].dims.assign(7, 1); }, "rank 7 is above 6"},
    {"size", [](PayloadGraph& g) { g.values[0].dims[1] = 0; }, "size 0 is out of range"},
    {"scale", [](PayloadGraph& g) { value_of(g, DataType::qint8).quantization = PerTensor{1e-39f, 0}; }, "is not a normal positive number"},
    {"zero_point", [](PayloadGraph& g) { value_of(g, DataType::qint8).quantization = PerTensor{1, 128}; },
     "zero point 128 is out of range"},
    {"scales", [](PayloadGraph& g) { std::get<PerChannel>(value_of(g, DataType::qcint8).quantization).scale.pop_back(); },
     "3 scales do not fit channel dimension 0"},
    {"bias",
     [](PayloadGraph& g) {
       g.values[node_of(g, NodeKind::Conv2d).inputs[2]].type = DataType::fp32;
       g.values[node_of(g, NodeKind::Conv2d).inputs[2]].quantization = {};
     },
     "no kernel for input qint8, filter qcint8, bias fp32, output qint8"},
    {"channels", [](PayloadGraph& g) { node_of(g, NodeKind::Conv2d).get<ConvolutionAttributes>().group_input_channels = 4; },
     "the input's channels do not fit"},
    {"order", [](PayloadGraph& g) { std::swap(g.nodes[0], g.nodes[1]); }, "an input is used before it is made"},
    {"twice", [](PayloadGraph& g) { g.nodes.push_back(g.nodes.back()); }, "the result is made twice"},
    {"range", [](PayloadGraph& g) { node_of(g, NodeKind::Conv2d).output_max = -1; }, "the output range is empty"},
    {"inferred", [](PayloadGraph& g) { node_of(g, NodeKind::StaticReshape).get<DimsAttributes>().dims.assign(2, 0); },
     "more than one size is inferred"},
    {"slice", [](PayloadGraph& g) { node_of(g, NodeKind::StaticSlice).get<SliceAttributes>().offsets[0] = 9; },
     "the slice leaves the input"},
    {"int8", [](PayloadGraph& g) { node_of(g, NodeKind::StaticTranspose).kind = NodeKind::Floor; }, "no int8 kernel"},
    {"moved", [](PayloadGraph& g) { g.values[node_of(g, NodeKind::StaticTranspose).output].quantization = PerTensor{1, 0}; },
     "moved int8 numbers change their parameters"},
    {"externals", [](PayloadGraph& g) { g.values[g.outputs[0]].external_id = 0; }, "outputs are not numbered in order"},
    {"kind", [](PayloadGraph& g) { node_of(g, NodeKind::Conv2d).kind = NodeKind::ScaledDotProductAttention; },
     "the runtime has no such node"},
};

TEST(CheckPayload, NamesEachViolation) {
  EXPECT_NO_THROW(check_payload(small_graph()));
  for (const Violation& violation : violations) {
    PayloadGraph graph = small_graph();
    violation.damage(graph);
    try {
      check_payload(graph);
      ADD_FAILURE() << violation.name << " is not noticed";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bug);
      EXPECT_NE(std::string(error.what()).find(violation.message), std::string::npos) << violation.name << ": " << error.what();
    }
  }
}

}  // namespace
}  // namespace intaglio::xnnpack
