#include "edge/qdq_patterns.h"

#include <array>
#include <string_view>

namespace intaglio::qdq {
namespace {

struct OpRow {
  std::string_view op;
  bool quantizes;
  bool per_channel;
  bool tensor_arguments;  // scale and zero point are tensors: static only where these are constants
};
constexpr std::array ops = {
    OpRow{"quantized_decomposed.quantize_per_tensor.default", true, false, false},
    OpRow{"quantized_decomposed.quantize_per_tensor.tensor", true, false, true},
    OpRow{"quantized_decomposed.quantize_per_channel.default", true, true, true},
    OpRow{"quantized_decomposed.dequantize_per_tensor.default", false, false, false},
    OpRow{"quantized_decomposed.dequantize_per_tensor.tensor", false, false, true},
    OpRow{"quantized_decomposed.dequantize_per_channel.default", false, true, true},
};

const OpRow* row_of(const Node& node) {
  if (node.op().name_space() != "quantized_decomposed") return nullptr;
  for (const OpRow& row : ops)
    if (node.is(row.op)) return &row;
  return nullptr;
}

std::optional<std::vector<double>> constant_numbers(const ExportedProgram& program, const Value* value) {
  const Tensor* tensor = program.constant(value);
  if (!tensor) return std::nullopt;
  const Tensor numbers = converted(*tensor, DType::float64).contiguous();
  const auto span = numbers.span<double>();
  return std::vector<double>(span.begin(), span.end());
}

bool read_tensor_params(const ExportedProgram& program, const Node& node, const OpRow& row, Params& params) {
  const auto scale = constant_numbers(program, node.tensor(row.per_channel ? "scales" : "scale"));
  if (!scale) return false;
  params.scale = *scale;
  params.zero_point.assign(scale->size(), 0);
  const Value* zero_points =
      row.per_channel ? node.optional_tensor("zero_points") : node.tensor("zero_point");
  if (!zero_points) return true;
  const auto numbers = constant_numbers(program, zero_points);
  if (!numbers || numbers->size() != scale->size()) return false;
  for (size_t i = 0; i < numbers->size(); ++i) params.zero_point[i] = static_cast<int64_t>((*numbers)[i]);
  return true;
}

}  // namespace

bool is_quantize(const Node& node) {
  const OpRow* row = row_of(node);
  return row && row->quantizes;
}

bool is_dequantize(const Node& node) {
  const OpRow* row = row_of(node);
  return row && !row->quantizes;
}

std::optional<Params> params_of(const ExportedProgram& program, const Node& node) {
  const OpRow* row = row_of(node);
  if (!row) return std::nullopt;
  Params params;
  params.quant_min = node.integer("quant_min");
  params.quant_max = node.integer("quant_max");
  const std::optional<DType> dtype = node.optional_dtype("dtype");
  if (!dtype) return std::nullopt;
  params.dtype = *dtype;
  if (row->per_channel) {
    const int64_t rank = node.tensor("input")->meta().rank();
    const int64_t axis = node.integer("axis");
    if (axis < -rank || axis >= rank) return std::nullopt;
    params.axis = axis < 0 ? axis + rank : axis;
  }
  if (row->tensor_arguments) {
    if (!read_tensor_params(program, node, *row, params)) return std::nullopt;
  } else {
    params.scale = {node.number("scale")};
    params.zero_point = {node.integer("zero_point")};
  }
  return params;
}

Node* dequantize_of(const Value* value) {
  Node* producer = value->producer();
  return producer && is_dequantize(*producer) ? producer : nullptr;
}

std::optional<Dequantized> dequantized(const ExportedProgram& program, const Value* value) {
  Node* node = dequantize_of(value);
  if (!node) return std::nullopt;
  std::optional<Params> params = params_of(program, *node);
  if (!params) return std::nullopt;
  return Dequantized{node, node->tensor("input"), std::move(*params)};
}

std::optional<Chain> find_chain(const ExportedProgram& program, Node& op,
                                const std::function<bool(const Node& activation)>& fusable) {
  Chain chain{.op = &op};
  const Value* result = op.output();
  if (fusable && result->has_one_user() && fusable(*result->users().front())) {
    chain.activation = result->users().front();
    result = chain.activation->output();
  }
  for (Node* user : result->users()) {
    if (!is_quantize(*user) || user->tensor("input") != result) return std::nullopt;
    std::optional<Params> params = params_of(program, *user);
    if (!params || params->is_per_channel()) return std::nullopt;
    if (!chain.quantizes.empty() && !(*params == chain.output)) return std::nullopt;
    chain.output = std::move(*params);
    chain.quantizes.push_back(user);
  }
  if (chain.quantizes.empty()) return std::nullopt;
  return chain;
}

}  // namespace intaglio::qdq
