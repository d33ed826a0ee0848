#include "qdq/patterns.h"

#include <algorithm>
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

// The three nodes of dynamic quantization belong together.
struct DynamicRow {
  std::string_view choose, quantize, dequantize;
  bool per_token;
};
constexpr std::array dynamic_rows = {
    DynamicRow{"quantized_decomposed.choose_qparams.tensor", "quantized_decomposed.quantize_per_tensor.tensor",
               "quantized_decomposed.dequantize_per_tensor.tensor", false},
    DynamicRow{"quantized_decomposed.choose_qparams_per_token_asymmetric.default", "quantized_decomposed.quantize_per_token.default",
               "quantized_decomposed.dequantize_per_token.default", true},
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
  const Value* zero_points = row.per_channel ? node.optional_tensor("zero_points") : node.tensor("zero_point");
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

namespace {
// Backends copy dequantize nodes, one for each reader.
bool are_one_value(const Value* a, const Value* b) {
  if (a == b) return true;
  const Node *x = dequantize_of(a), *y = dequantize_of(b);
  return x && y && x->op() == y->op() && x->inputs() == y->inputs() && x->arguments().size() == y->arguments().size();
}
}  // namespace

std::optional<Dequantized> dequantized(const ExportedProgram& program, const Value* value) {
  Node* node = dequantize_of(value);
  if (!node) return std::nullopt;
  std::optional<Params> params = params_of(program, *node);
  if (!params) return std::nullopt;
  return Dequantized{node, node->tensor("input"), std::move(*params)};
}

std::optional<Dynamic> dynamic_of(const Value* value) {
  Node* dequantize = value->producer();
  if (!dequantize) return std::nullopt;
  for (const DynamicRow& row : dynamic_rows) {
    if (!dequantize->is(row.dequantize)) continue;
    // Scale and zero point stand at the same places in all of these schemas.
    const std::vector<Value*> read = dequantize->inputs();
    if (read.size() != 3) return std::nullopt;
    Node *quantize = read[0]->producer(), *choose = read[1]->producer();
    if (!quantize || !choose || !quantize->is(row.quantize) || !choose->is(row.choose)) return std::nullopt;
    if (read[1] != choose->output(0) || read[2] != choose->output(1)) return std::nullopt;
    Value* source = choose->tensor("input");
    const std::vector<Value*> quantized = quantize->inputs();
    if (quantized.size() != 3 || !are_one_value(quantized[0], source) || quantized[1] != read[1] || quantized[2] != read[2])
      return std::nullopt;
    return Dynamic{source, choose, quantize, dequantize, row.per_token, read[0]->dtype()};
  }
  return std::nullopt;
}

bool has_one_reader(const Dynamic& dynamic) {
  const auto is_own = [&](const Node* user) { return user == dynamic.quantize || user == dynamic.dequantize; };
  for (const Value* value : dynamic.choose->outputs())
    if (!std::ranges::all_of(value->users(), is_own)) return false;
  return dynamic.quantize->output()->has_one_user() && dynamic.dequantize->output()->has_one_user();
}

std::optional<Chain> find_chain(const ExportedProgram& program, Node& op, const std::function<bool(const Node& activation)>& fusable) {
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
