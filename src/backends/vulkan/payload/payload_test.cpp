#include <gtest/gtest.h>

#include <cstring>

#include <intaglio/error.h>

#include "backends/vulkan/payload/decode_payload.h"
#include "backends/vulkan/payload/payload_reader.h"
#include "backends/vulkan/payload/payload_writer.h"
#include "testing/errors.h"

namespace intaglio::vulkan {
namespace {

// Every type of value there is.
VkGraph varied_graph() {
  VkGraph graph;
  graph.constants = {{std::string(64, 'a'), 32, {}}, {"", 0, {}}};
  const ValueId weight = graph.add(VkTensor{.type = DataType::float16, .dims = {4, 4}, .constant = 0, .staging = DataType::float16});
  const ValueId x =
      graph.add(VkTensor{.dims = {1, 4}, .memory_object = 0, .storage = StorageType::texture_3d, .layout = MemoryLayout::channels_packed});
  const ValueId y =
      graph.add(VkTensor{.dims = {}, .memory_object = 1, .storage = StorageType::buffer, .layout = MemoryLayout::width_packed});
  std::vector<ValueId> arguments = {x, weight};
  for (VkValue value : {VkValue(VkNull{}), VkValue(int64_t{-5}), VkValue(2.5), VkValue(true), VkValue(std::vector<int64_t>{1, -1}),
                        VkValue(std::vector<double>{0.5}), VkValue(std::vector<bool>{true, false}), VkValue(VkValueList{{x, y}}),
                        VkValue(std::string("none")), VkValue(VkSymInt{})})
    arguments.push_back(graph.add(std::move(value)));
  arguments.push_back(y);
  graph.calls = {{"aten.convolution.default", arguments, ""}};
  graph.inputs = {x};
  graph.outputs = {y};
  return graph;
}

TEST(VulkanPayload, ReadsBackAsWritten) {
  const VkGraph graph = varied_graph();
  const std::vector<std::byte> bytes = write_payload(graph);
  EXPECT_NO_THROW(check_payload(bytes));
  const VkGraph read = read_payload(bytes);
  EXPECT_EQ(read.values, graph.values);
  EXPECT_EQ(read.inputs, graph.inputs);
  EXPECT_EQ(read.outputs, graph.outputs);
  EXPECT_EQ(to_string(read), to_string(graph));
  ASSERT_EQ(read.constants.size(), 2u);
  EXPECT_EQ(read.constants[0].key, graph.constants[0].key);
  EXPECT_EQ(bytes[32 + 4], std::byte{'V'});
  EXPECT_EQ(bytes.size() % 16, 0u);
}

TEST(VulkanPayload, DecodesToNodes) {
  const DecodedPayload decoded = decode_payload(write_payload(varied_graph()));
  ASSERT_EQ(decoded.nodes.size(), 1u);
  EXPECT_EQ(decoded.nodes[0].kind, "aten.convolution.default");
  EXPECT_EQ(decoded.nodes[0].op, "convolution");
  EXPECT_EQ(decoded.nodes[0].weight, (Sizes{4, 4}));
  EXPECT_EQ(decoded.nodes[0].inputs[1].key, std::string(64, 'a'));
  EXPECT_EQ(decoded.nodes[0].output.dtype, "float32");
}

TEST(VulkanPayload, DamageIsBadInput) {
  test::expect_damage_is_bad_input(write_payload(varied_graph()), [](const std::vector<std::byte>& bytes) {
    to_string(read_payload(bytes));
    decode_payload(bytes);
  });
}

TEST(VulkanPayload, MessagesNameTheCause) {
  const auto message = [](const std::function<void(VkGraph&)>& change) {
    VkGraph graph = varied_graph();
    change(graph);
    return test::refusal_of(ErrorKind::bad_input, [&] { read_payload(write_payload(graph)); });
  };
  EXPECT_EQ(message([](VkGraph& g) { g.outputs = {99}; }), "a Vulkan payload: value 99 of 13");
  EXPECT_EQ(message([](VkGraph& g) { g.calls[0].arguments[0] = -1; }), "a Vulkan payload: value -1 of 13");
  EXPECT_EQ(message([](VkGraph& g) { std::get<VkTensor>(g.values[0]).constant = 7; }), "a Vulkan payload: constant 7 of 2");
  EXPECT_EQ(message([](VkGraph& g) { std::get<VkTensor>(g.values[0]).type = static_cast<DataType>(50); }),
            "a Vulkan payload: an unknown data type 50");
}

}  // namespace
}  // namespace intaglio::vulkan
