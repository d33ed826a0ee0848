#include "backends/vulkan/payload/payload_writer.h"

#include <set>

#include <vulkan_schema/schema_generated.h>

namespace intaglio::vulkan {
namespace {

namespace fb = ::vkgraph;
using Builder = flatbuffers::FlatBufferBuilder;

// Children stand in front of what refers to them, in the order of the schema's fields: as `flatc` writes them.
struct ValueWriter {
  Builder& builder;
  using Written = std::pair<fb::GraphTypes, flatbuffers::Offset<void>>;

  Written operator()(const VkNull&) const { return {fb::GraphTypes::Null, fb::CreateNull(builder).Union()}; }
  Written operator()(int64_t value) const { return {fb::GraphTypes::Int, fb::CreateInt(builder, value).Union()}; }
  Written operator()(double value) const { return {fb::GraphTypes::Double, fb::CreateDouble(builder, value).Union()}; }
  Written operator()(bool value) const { return {fb::GraphTypes::Bool, fb::CreateBool(builder, value).Union()}; }
  Written operator()(const VkTensor& t) const {
    const auto dims = builder.CreateVector(std::vector<uint32_t>(t.dims.begin(), t.dims.end()));
    const auto tensor = fb::CreateVkTensor(builder, static_cast<fb::VkDataType>(t.type), dims, t.constant, t.memory_object,
                                           static_cast<fb::VkStorageType>(t.storage), static_cast<fb::VkMemoryLayout>(t.layout),
                                           static_cast<fb::VkDataType>(t.staging));
    return {fb::GraphTypes::VkTensor, tensor.Union()};
  }
  Written operator()(const std::vector<int64_t>& items) const {
    return {fb::GraphTypes::IntList, fb::CreateIntList(builder, builder.CreateVector(items)).Union()};
  }
  Written operator()(const std::vector<double>& items) const {
    return {fb::GraphTypes::DoubleList, fb::CreateDoubleList(builder, builder.CreateVector(items)).Union()};
  }
  Written operator()(const std::vector<bool>& items) const {
    return {fb::GraphTypes::BoolList, fb::CreateBoolList(builder, builder.CreateVector(items)).Union()};
  }
  Written operator()(const VkValueList& list) const {
    return {fb::GraphTypes::ValueList, fb::CreateValueList(builder, builder.CreateVector(list.items)).Union()};
  }
  Written operator()(const std::string& text) const {
    return {fb::GraphTypes::String, fb::CreateString(builder, builder.CreateString(text)).Union()};
  }
  Written operator()(const VkSymInt&) const { return {fb::GraphTypes::SymInt, fb::CreateSymInt(builder, 0).Union()}; }
};

flatbuffers::Offset<fb::VkBytes> write_constant(Builder& builder, const VkConstant& constant) {
  if (constant.key.empty()) return fb::CreateVkBytes(builder, 0, 0);
  const auto key = builder.CreateString(constant.key);
  return fb::CreateVkBytes(builder, ~uint64_t{0}, constant.size, key);
}

std::vector<uint32_t> unsigned_ids(const std::vector<ValueId>& ids) { return {ids.begin(), ids.end()}; }

}  // namespace

std::vector<std::byte> write_payload(const VkGraph& graph) {
  Builder builder(64 * 1024);
  const auto version = builder.CreateString("0");
  std::vector<flatbuffers::Offset<fb::OperatorCall>> chain;
  for (const VkCall& call : graph.calls) {
    const auto name = builder.CreateString(call.op);
    const auto arguments = builder.CreateVector(call.arguments);
    chain.push_back(fb::CreateOperatorCall(builder, static_cast<uint32_t>(chain.size()), name, arguments));
  }
  const auto calls = builder.CreateVector(chain);
  std::vector<flatbuffers::Offset<fb::VkValue>> written;
  for (const VkValue& value : graph.values) {
    const auto [type, offset] = std::visit(ValueWriter{builder}, value);
    written.push_back(fb::CreateVkValue(builder, type, offset));
  }
  const auto values = builder.CreateVector(written);
  const auto inputs = builder.CreateVector(unsigned_ids(graph.inputs));
  const auto outputs = builder.CreateVector(unsigned_ids(graph.outputs));
  std::vector<flatbuffers::Offset<fb::VkBytes>> bytes;
  for (const VkConstant& constant : graph.constants) bytes.push_back(write_constant(builder, constant));
  const auto constants = builder.CreateVector(bytes);
  const auto shaders = builder.CreateVector(std::vector<flatbuffers::Offset<fb::VkBytes>>{});
  fb::FinishVkGraphBuffer(builder, fb::CreateVkGraph(builder, version, calls, values, inputs, outputs, constants, shaders));
  return common::with_payload_header(payload_format, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
}

std::vector<NamedData> named_data(const VkGraph& graph) {
  std::vector<NamedData> result;
  std::set<std::string_view> keys;
  for (const VkConstant& constant : graph.constants)
    if (!constant.key.empty() && keys.insert(constant.key).second) result.push_back({constant.key, constant.data});
  return result;
}

}  // namespace intaglio::vulkan
