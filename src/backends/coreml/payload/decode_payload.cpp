#include "backends/coreml/payload/decode_payload.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "backends/coreml/payload/payload.h"

namespace intaglio::coreml {
namespace {

// Operations whose work is that of a contraction, in ATen's words.
struct ContractionRow {
  std::string_view type, work;
};
constexpr ContractionRow contractions[] = {
    {"conv", "convolution"}, {"conv_transpose", "convolution"}, {"linear", "linear"}, {"matmul", "bmm"}};

using ValueTypes = std::unordered_map<std::string_view, const ValueType*>;

DecodedValue decoded_type(const ValueType& type) { return {std::string(row_of(type.type).name), type.dims, ""}; }

DecodedNode decoded_operation(const Operation& operation, const ValueTypes& types) {
  DecodedNode node;
  node.kind = operation.type;
  node.text = to_string(operation);
  for (const BoundInput& input : operation.inputs)
    for (const Binding& binding : input.bindings) {
      const auto* name = std::get_if<std::string>(&binding);
      const auto* value = std::get_if<Literal>(&binding);
      const ValueType type = name ? *types.at(*name) : ValueType{value->type, value->dims};
      node.inputs.push_back(decoded_type(type));
      if (input.parameter == "weight") node.weight = type.dims;
    }
  // Before iOS 18 what is decompressed stands among the attributes.
  for (const Attribute& attribute : operation.attributes)
    if (attribute.name != "name") node.inputs.push_back(decoded_type({attribute.value.type, attribute.value.dims}));
  if (!operation.outputs.empty()) node.output = decoded_type(operation.outputs[0].type);
  else if (!node.inputs.empty()) node.output = node.inputs.front();  // what is written to a state
  const auto row = std::ranges::find(contractions, operation.type, &ContractionRow::type);
  if (row != std::end(contractions)) node.op = row->work;
  node.transposed = operation.type == "conv_transpose";
  if (node.op != "convolution") node.weight.clear();
  return node;
}

// Inner blocks behind the operation that they belong to.
void append_nodes(const Block& block, ValueTypes& types, std::vector<DecodedNode>& nodes) {
  for (const NamedType& input : block.inputs) types[input.name] = &input.type;
  for (const Operation& operation : block.operations) {
    if (operation.type != "const") nodes.push_back(decoded_operation(operation, types));
    for (const Block& inner : operation.blocks) append_nodes(inner, types, nodes);
    for (const NamedType& output : operation.outputs) types[output.name] = &output.type;
  }
}

}  // namespace

namespace {
DecodedPayload decoded(std::span<const std::byte> bytes, std::optional<std::string_view> name) {
  DecodedPayload result;
  const Payload payload = read_payload(bytes);
  for (const Function& function : payload.program.functions) {
    if (name && function.name != *name) continue;
    ValueTypes types;
    for (const Input& input : function.inputs) types[input.name] = &input.type;
    append_nodes(function.body, types, result.nodes);
  }
  return result;
}
}  // namespace

DecodedPayload decode_payload(std::span<const std::byte> bytes) {
  const auto reference = read_reference(bytes);
  if (!reference) return decoded(bytes, std::nullopt);
  DecodedPayload result;
  result.nodes.push_back(
      {.kind = "function", .text = fmt::format("function '{}' of the model in the named data '{}'", reference->function, reference->key)});
  return result;
}

DecodedPayload decode_function(std::span<const std::byte> bytes, std::string_view name) { return decoded(bytes, name); }

}  // namespace intaglio::coreml
