#include "pt2e/integer_steps.h"

#include <algorithm>

#include "qdq/op_table.h"

namespace intaglio::pt2e {
namespace {

using decompose::GraphBuilder;
using qdq::Granularity;

bool is_zero(const Argument& number) {
  const auto* integer = number.get_if<int64_t>();
  return integer != nullptr && *integer == 0;
}

bool is_small(DType dtype) { return dtype == DType::int8 || dtype == DType::uint8; }

// Scale and zero point of a node as operands of arithmetic on its tensor: numbers, or tensors that broadcast.
struct Steps {
  Argument scale, zero_point;
};

Value* along_axis(GraphBuilder& b, Value* list, int64_t axis, size_t rank) {
  SymSizes sizes(rank, 1);
  sizes.at(static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis)) = list->sizes().at(0);
  return b.view(list, sizes);
}

Steps steps_of(GraphBuilder& b, const Node& node, const qdq::OpRow& row) {
  if (row.variant == qdq::Variant::literals) return {node.number(row.places.scale), node.integer(row.places.zero_point)};
  Value *scale = node.tensor(row.places.scale), *zero_point = node.tensor(row.places.zero_point);
  if (row.granularity == Granularity::tensor) return {scale, zero_point};
  const size_t rank = node.output()->sizes().size();
  return {along_axis(b, scale, node.integer("axis"), rank), along_axis(b, zero_point, node.integer("axis"), rank)};
}

// PyTorch multiplies by the reciprocal: of a number in double, of one scale a channel in the scales' own type.
Argument reciprocal(GraphBuilder& b, const Argument& scale) {
  if (const auto* number = scale.get_if<double>()) return 1 / *number;
  return b.cast(b("aten.reciprocal.default", *scale.get_if<Value*>()), DType::float32);
}

Value* written_out(GraphBuilder& b, const Node& node, const qdq::OpRow& row) {
  Value* input = node.tensor(row.places.input);
  const Steps steps = steps_of(b, node, row);
  if (row.role == qdq::Role::quantize) {
    Value* in_float = b.cast(input, DType::float32);
    Value* scaled = b("aten.mul.Tensor", in_float, reciprocal(b, steps.scale));
    return rounded_to(b, scaled, steps.zero_point, {node.integer("quant_min"), node.integer("quant_max")}, node.output()->dtype());
  }
  const DType dtype = node.output()->dtype();
  Value* const* scale = steps.scale.get_if<Value*>();
  Value* centered_input = centered(b, input, steps.zero_point, dtype);
  return b("aten.mul.Tensor", centered_input, scale ? Argument(b.cast(*scale, dtype)) : steps.scale);
}

}  // namespace

Value* rounded_to(GraphBuilder& b, Value* x, const Argument& zero_point, IntegerRange range, DType dtype) {
  Value* result = b("aten.round.default", x);
  if (!is_zero(zero_point)) result = b("aten.add.Tensor", result, zero_point);
  return b.cast(b("aten.clamp.default", result, range.low, range.high), dtype);
}

Value* centered(GraphBuilder& b, Value* q, const Argument& zero_point, DType wide) {
  Value* result = b.cast(q, wide);
  return is_zero(zero_point) ? result : b("aten.sub.Tensor", result, zero_point);
}

std::optional<qdq::Dequantized> small_integers(const ExportedProgram& program, const Value* value) {
  auto found = qdq::dequantized(program, value);
  if (!found || !found->params.is_per_tensor() || !is_small(found->source->dtype()) || value->dtype() != DType::float32)
    return std::nullopt;
  return found;
}

std::optional<qdq::Dequantized> small_weight(const ExportedProgram& program, const Value* value, int64_t axis) {
  auto found = qdq::dequantized(program, value);
  if (!found || !is_small(found->source->dtype()) || value->dtype() != DType::float32) return std::nullopt;
  const QuantParams& params = found->params;
  if (params.is_per_tensor()) return found;
  const bool is_symmetric = std::ranges::all_of(params.zero_point, [](int64_t z) { return z == 0; });
  if (params.axis() != axis || !is_symmetric) return std::nullopt;
  return found;
}

void write_out_quantization(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const qdq::OpRow* row = qdq::find(*node);
    if (row == nullptr || row->role == qdq::Role::choose) continue;
    if (row->granularity != Granularity::tensor && row->granularity != Granularity::channel) continue;
    GraphBuilder b(program, *node);
    Value* result = written_out(b, *node, *row);
    const std::string name = node->output()->name();
    graph.replace_all_uses(node->output(), result);
    graph.erase(node);
    graph.rename(result, name);
  }
}

}  // namespace intaglio::pt2e
