#include "ir/infer.h"
#include "pt2e/integer_steps.h"
#include "pt2e/reference_representation.h"
#include "qdq/reader.h"

namespace intaglio::pt2e {
namespace {

using decompose::GraphBuilder;
using qdq::Dequantized;

float as_float(double scale) { return static_cast<float>(scale); }

// A dequantize node of int8 with literals, whose result one node reads.
std::optional<Dequantized> operand(const ExportedProgram& program, const Value* value) {
  auto found = qdq::dequantized(program, value);
  if (!found || !found->params.is_per_tensor() || found->params.dtype != DType::int8 || value->dtype() != DType::float32 ||
      qdq::find(*found->node)->variant != qdq::Variant::literals || !value->has_one_user())
    return std::nullopt;
  return found;
}

// `op -> [relu ->] quantize`, each read by the next alone.
struct Tail {
  Node* last = nullptr;
  Node* quantize = nullptr;
  QuantParams params;
};
std::optional<Tail> tail_of(const ExportedProgram& program, Node& op, bool through_relu) {
  Node* last = &op;
  if (through_relu) {
    if (!op.output()->has_one_user() || !op.output()->users().front()->is("aten.relu.default")) return std::nullopt;
    last = op.output()->users().front();
  }
  if (!last->output()->has_one_user()) return std::nullopt;
  Node* quantize = last->output()->users().front();
  const qdq::OpRow* row = qdq::find(*quantize);
  if (row == nullptr || row->role != qdq::Role::quantize || row->variant != qdq::Variant::literals) return std::nullopt;
  auto params = qdq::params_of(program, *quantize);
  if (!params || params->dtype != DType::int8) return std::nullopt;
  return Tail{last, quantize, std::move(*params)};
}

Value* clamped(GraphBuilder& b, Value* x, const QuantParams& params) {
  return b("aten.clamp.default", x, params.quant_min, params.quant_max);
}

Value* as_int8(GraphBuilder& b, Value* sum, int64_t zero_point, int64_t low, int64_t high) {
  Value* shifted = b("aten.add.Tensor", sum, zero_point);
  return b.cast(b("aten.clamp.default", shifted, low, high), DType::int8);
}

Value* centered_int16(GraphBuilder& b, Value* q, int64_t zero_point) { return b("aten.sub.Tensor", b.cast(q, DType::int16), zero_point); }

// Floats computed and cut to int32.
Value* truncated(GraphBuilder& b, std::string_view op, Value* x, const Argument& y) {
  return b.out_dtype(op, DType::int32, {x, y}, x->sizes());
}

Value* sums_of_int16(GraphBuilder& b, const Node& op, Value* x, const Dequantized& weight) {
  Value* w = centered_int16(b, clamped(b, weight.source, weight.params), weight.params.zero_point[0]);
  return b.out_dtype("aten.linear.default", DType::int32, {x, w, std::monostate()}, op.output()->sizes());
}

bool torchao_linear(ExportedProgram& program, Node& op) {
  const auto x = operand(program, op.tensor("input")), weight = operand(program, op.tensor("weight"));
  const auto tail = tail_of(program, op, false);
  Value* bias = op.optional_tensor("bias");
  if (!x || !weight || !tail || bias == nullptr) return false;
  GraphBuilder b(program, program.graph().next(&op), op);
  Value* sum = sums_of_int16(b, op, centered_int16(b, clamped(b, x->source, x->params), x->params.zero_point[0]), *weight);
  const float scale = as_float(x->params.scale[0]) * as_float(weight->params.scale[0]);
  sum = b("aten.add.Tensor", sum, truncated(b, "aten.div.Tensor", bias, b.number(double{scale}, DType::float32)));
  const float ratio = scale / as_float(tail->params.scale[0]);
  Value* result = truncated(b, "aten.mul.Tensor", sum, b.number(double{ratio}, DType::float32));
  result = as_int8(b, result, tail->params.zero_point[0], tail->params.quant_min, tail->params.quant_max);
  program.graph().replace_all_uses(tail->quantize->output(), result);
  return true;
}

bool torchao_dynamic_linear(ExportedProgram& program, Node& op) {
  const auto dynamic = qdq::dynamic_of(op.tensor("input"));
  const auto weight = operand(program, op.tensor("weight"));
  Value* bias = op.optional_tensor("bias");
  if (!dynamic || !weight || bias == nullptr || !dynamic->quantize->is("quantized_decomposed.quantize_per_tensor.tensor")) return false;
  GraphBuilder b(program, op);
  Value *scale = dynamic->choose->output(0), *zero_point = dynamic->choose->output(1);
  const Node& quantize = *dynamic->quantize;
  Value* steps = b.cast(b("aten.round.default", b("aten.div.Tensor", dynamic->source, scale)), DType::int32);
  Value* shifted = b("aten.add.Tensor", steps, zero_point);
  Value* q = b.cast(b("aten.clamp.default", shifted, quantize.integer("quant_min"), quantize.integer("quant_max")), dynamic->dtype);
  Value* sum = sums_of_int16(b, op, b("aten.sub.Tensor", b.cast(q, DType::int16), zero_point), *weight);
  Value* product = b("aten.mul.Tensor", scale, weight->params.scale[0]);
  sum = b("aten.add.Tensor", sum, b.out_dtype("aten.div.Tensor", DType::int32, {bias, product}, bias->sizes()));
  program.graph().replace_all_uses(op.output(), b("aten.mul.Tensor", sum, product));
  return true;
}

bool torchao_sum(ExportedProgram& program, Node& op, bool through_relu) {
  if (const Argument* other = op.find("other"); other == nullptr || !other->is<Value*>()) return false;
  const auto x = operand(program, op.tensor("self")), y = operand(program, op.tensor("other"));
  const auto tail = tail_of(program, op, through_relu);
  if (!x || !y || !tail || op.number("alpha") != 1) return false;
  GraphBuilder b(program, program.graph().next(tail->last), op);
  const auto scaled = [&](const Dequantized& value) {
    Value* integers = b("aten.sub.Tensor", b.cast(value.source, DType::int32), value.params.zero_point[0]);
    Value* ratio = b.number(double{as_float(value.params.scale[0]) / as_float(tail->params.scale[0])}, DType::float32);
    if (through_relu) return truncated(b, "aten.mul.Tensor", integers, ratio);
    return b.cast(b("aten.round.default", b("aten.mul.Tensor", ratio, integers)), DType::int32);
  };
  Value* left = scaled(*x);
  Value* sum = b("aten.add.Tensor", left, scaled(*y));
  const int64_t zero_point = tail->params.zero_point[0];
  Value* result = through_relu ? as_int8(b, sum, zero_point, zero_point, tail->params.quant_max) : as_int8(b, sum, zero_point, -128, 127);
  program.graph().replace_all_uses(tail->quantize->output(), result);
  return true;
}

// Quantize divides, rounds and shifts in int32; dequantize cuts to the range first.
Value* torchao_steps(GraphBuilder& b, const Node& node, const qdq::OpRow& row, const QuantParams& params) {
  Value* input = node.tensor(row.places.input);
  if (row.role == qdq::Role::quantize) {
    Value* steps = b.cast(b("aten.round.default", b("aten.div.Tensor", input, params.scale[0])), DType::int32);
    return as_int8(b, steps, params.zero_point[0], params.quant_min, params.quant_max);
  }
  Value* floats = b.cast(clamped(b, input, params), DType::float32);
  return b("aten.mul.Tensor", b("aten.sub.Tensor", floats, params.zero_point[0]), params.scale[0]);
}

void write_out_literals(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const qdq::OpRow* row = qdq::find(*node);
    if (row == nullptr || row->role == qdq::Role::choose || row->variant != qdq::Variant::literals) continue;
    const auto params = qdq::params_of(program, *node);
    if (!params || params->dtype != DType::int8) continue;
    GraphBuilder b(program, *node);
    graph.replace_all_uses(node->output(), torchao_steps(b, *node, *row, *params));
    graph.erase(node);
  }
}

}  // namespace

void write_torchao_reference(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (node->is("aten.linear.default")) torchao_linear(program, *node) || torchao_dynamic_linear(program, *node);
    if (node->is("aten.add.Tensor")) torchao_sum(program, *node, true) || torchao_sum(program, *node, false);
  }
  graph.eliminate_dead_code();
  write_out_literals(program);
  write_out_quantization(program);
  refresh_metadata(graph);
  graph.eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio::pt2e
