#include "backends/vulkan/payload/vk_graph.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/vulkan/payload/payload_names.h"

namespace intaglio::vulkan {
namespace {

constexpr std::pair<DType, DataType> data_types[] = {
    {DType::boolean, DataType::boolean}, {DType::uint8, DataType::uint8},     {DType::int8, DataType::int8},
    {DType::int32, DataType::int32},     {DType::int64, DataType::int64},     {DType::float16, DataType::float16},
    {DType::float32, DataType::float32}, {DType::float64, DataType::float64},
};

std::string tensor_text(const VkTensor& tensor, ValueId id) {
  const std::string type = fmt::format("{}[{}]", name(tensor.type), fmt::join(tensor.dims, ", "));
  if (tensor.constant >= 0) return fmt::format("constant {} {}", tensor.constant, type);
  std::string text = fmt::format("%{} {}", id, type);
  if (tensor.storage != StorageType::default_storage) text += fmt::format(" {}", name(tensor.storage));
  if (tensor.layout != MemoryLayout::default_layout) text += fmt::format(" {}", name(tensor.layout));
  if (tensor.staging != tensor.type && tensor.staging != DataType::unset) text += fmt::format(" as {}", name(tensor.staging));
  if (tensor.memory_object >= 0) text += fmt::format(" in {}", tensor.memory_object);
  return text;
}

struct ValueText {
  const VkGraph& graph;
  ValueId id;
  std::string operator()(const VkNull&) const { return "none"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    return value == std::trunc(value) && std::abs(value) < 0x1p53 ? fmt::format("{:.1f}", value) : fmt::format("{}", value);
  }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(const VkTensor& value) const { return tensor_text(value, id); }
  std::string operator()(const std::vector<int64_t>& values) const { return fmt::format("[{}]", fmt::join(values, ", ")); }
  std::string operator()(const std::vector<double>& values) const { return fmt::format("[{}]", fmt::join(values, ", ")); }
  std::string operator()(const std::vector<bool>& values) const { return fmt::format("[{}]", fmt::join(values, ", ")); }
  std::string operator()(const std::string& value) const { return '"' + value + '"'; }
  std::string operator()(const VkSymInt&) const { return fmt::format("%{} symint", id); }
  std::string operator()(const VkValueList& list) const;
};

std::string value_text(const VkGraph& graph, ValueId id) {
  return std::visit(ValueText{graph, id}, graph.values.at(static_cast<size_t>(id)));
}

std::string ValueText::operator()(const VkValueList& list) const {
  std::vector<std::string> items;
  for (const ValueId item : list.items)
    items.push_back(std::holds_alternative<VkValueList>(graph.values.at(static_cast<size_t>(item))) ? "..." : value_text(graph, item));
  return fmt::format("({})", fmt::join(items, ", "));
}

}  // namespace

std::string_view name(DataType type) { return named(data_type_names, type); }
std::string_view name(StorageType storage) { return named(storage_names, storage); }
std::string_view name(MemoryLayout layout) { return named(layout_names, layout); }

std::optional<DataType> data_type(DType type) {
  const auto found = std::ranges::find(data_types, type, &std::pair<DType, DataType>::first);
  return found == std::end(data_types) ? std::nullopt : std::optional(found->second);
}

std::vector<ValueId> tensors_in(const VkGraph& graph, ValueId id) {
  const auto* list = std::get_if<VkValueList>(&graph.values.at(static_cast<size_t>(id)));
  return list ? list->items : std::vector<ValueId>{id};
}

std::string to_string(const VkGraph& graph, const VkCall& call) {
  std::vector<std::string> arguments;
  for (size_t i = 0; i + 1 < call.arguments.size(); ++i) arguments.push_back(value_text(graph, call.arguments[i]));
  return fmt::format("{}({}) -> {}", call.op, fmt::join(arguments, ", "),
                     call.arguments.empty() ? "nothing" : value_text(graph, call.arguments.back()));
}

std::string to_string(const VkGraph& graph) {
  std::string text;
  for (const ValueId id : graph.inputs) text += fmt::format("input {}\n", value_text(graph, id));
  for (const VkCall& call : graph.calls) text += to_string(graph, call) + "\n";
  for (const ValueId id : graph.outputs) text += fmt::format("output {}\n", value_text(graph, id));
  return text;
}

}  // namespace intaglio::vulkan
