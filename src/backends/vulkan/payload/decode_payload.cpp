#include "backends/vulkan/payload/decode_payload.h"

#include <intaglio/error.h>

#include "backends/vulkan/payload/payload_reader.h"

namespace intaglio::vulkan {
namespace {

// Operators whose work is that of a contraction, and where their weight stands.
struct ContractionRow {
  std::string_view op, work;
  size_t weight;
};
constexpr ContractionRow contractions[] = {
    {"aten.convolution.default", "convolution", 1},
    {"et_vk.conv_with_clamp.default", "convolution", 1},
    {"aten.linear.default", "linear", 1},
    {"aten.addmm.default", "addmm", 2},
    {"aten.mm.default", "mm", 1},
    {"aten.bmm.default", "bmm", 1},
    {"aten._weight_int8pack_mm.default", "linear", 1},
    {"et_vk.linear_qcs4w.default", "linear", 1},
    {"et_vk.linear_q4gsw.default", "linear", 1},
    {"et_vk.linear_dq8ca_q4gsw.default", "linear", 3},
};

const VkValue& at(const VkGraph& graph, ValueId id) { return graph.values.at(static_cast<size_t>(id)); }

DecodedValue decoded_value(const VkGraph& graph, const VkTensor& tensor) {
  return {std::string(name(tensor.type)), tensor.dims,
          tensor.constant < 0 ? "" : graph.constants.at(static_cast<size_t>(tensor.constant)).key};
}

void describe_contraction(const VkGraph& graph, const VkCall& call, DecodedNode& node) {
  for (const ContractionRow& row : contractions) {
    if (row.op != call.op) continue;
    node.op = row.work;
    if (row.work != "convolution" || call.arguments.size() < 9) return;
    const auto* weight = std::get_if<VkTensor>(&at(graph, call.arguments[row.weight]));
    const auto* transposed = std::get_if<bool>(&at(graph, call.arguments[6]));
    if (weight) node.weight = weight->dims;
    node.transposed = transposed != nullptr && *transposed;
  }
}

std::optional<double> number_at(const VkGraph& graph, ValueId id) {
  const VkValue& value = at(graph, id);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  return std::nullopt;
}

DecodedNode decoded_call(const VkGraph& graph, const VkCall& call) {
  DecodedNode node;
  node.kind = call.op;
  node.text = to_string(graph, call);
  if (call.arguments.empty()) return node;
  for (size_t i = 0; i + 1 < call.arguments.size(); ++i)
    for (const ValueId id : tensors_in(graph, call.arguments[i]))
      if (const auto* tensor = std::get_if<VkTensor>(&at(graph, id))) node.inputs.push_back(decoded_value(graph, *tensor));
  const std::vector<ValueId> results = tensors_in(graph, call.arguments.back());
  if (!results.empty())
    if (const auto* tensor = std::get_if<VkTensor>(&at(graph, results.front()))) node.output = decoded_value(graph, *tensor);
  describe_contraction(graph, call, node);
  if (call.op == "et_vk.conv_with_clamp.default" && call.arguments.size() == 12) {
    const auto low = number_at(graph, call.arguments[9]), high = number_at(graph, call.arguments[10]);
    if (low && high) node.range = {static_cast<float>(*low), static_cast<float>(*high)};
  }
  return node;
}

}  // namespace

DecodedPayload decode_payload(std::span<const std::byte> payload) {
  const VkGraph graph = read_payload(payload);
  DecodedPayload result;
  for (const VkCall& call : graph.calls) {
    result.nodes.push_back(decoded_call(graph, call));
    if (result.nodes.back().range) ++result.fused_clamps;
  }
  return result;
}

}  // namespace intaglio::vulkan
