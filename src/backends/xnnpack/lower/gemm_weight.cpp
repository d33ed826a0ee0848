#include "backends/xnnpack/lower/gemm_weight.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "interpreter/constant_values.h"

namespace intaglio::xnnpack {
namespace {

enum class ConstantOp { none, permute, transpose_2d, reshape, dequantize };

struct ConstantOpRow {
  std::string_view op;
  ConstantOp kind;
};
constexpr std::array constant_ops = {
    ConstantOpRow{"aten.permute_copy.default", ConstantOp::permute},   ConstantOpRow{"aten.permute.default", ConstantOp::permute},
    ConstantOpRow{"aten.t_copy.default", ConstantOp::transpose_2d},    ConstantOpRow{"aten.t.default", ConstantOp::transpose_2d},
    ConstantOpRow{"aten.view_copy.default", ConstantOp::reshape},      ConstantOpRow{"aten.view.default", ConstantOp::reshape},
    ConstantOpRow{"aten.unsqueeze_copy.default", ConstantOp::reshape}, ConstantOpRow{"aten.squeeze_copy.dims", ConstantOp::reshape},
};

ConstantOp constant_op(const Node& node) {
  for (const ConstantOpRow& row : constant_ops)
    if (node.is(row.op)) return row.kind;
  return qdq::is_tensor_or_channel_dequantize(node) ? ConstantOp::dequantize : ConstantOp::none;
}

// What a delegate computes of its constants before it runs.
ConstantValues constants_of(const ExportedProgram& program) {
  return ConstantValues(program, [&program](const Node& node) {
    if (node.outputs().size() != 1 || !node.output()->is_tensor() || !node.output()->meta().is_static()) return false;
    const ConstantOp kind = constant_op(node);
    return kind == ConstantOp::dequantize ? qdq::params_of(program, node).has_value() : kind != ConstantOp::none;
  });
}

std::vector<int64_t> permutation_of(const Node& node, ConstantOp kind) {
  if (kind == ConstantOp::transpose_2d) return {1, 0};
  std::vector<int64_t> dims = node.integers("dims");
  const auto rank = static_cast<int64_t>(dims.size());
  for (int64_t& dim : dims)
    if (dim < 0) dim += rank;
  return dims;
}

const Value* first_input(const Node& node) { return node.inputs().front(); }

bool is_usable_scale(double scale) {
  const auto narrowed = static_cast<float>(scale);
  return std::isfinite(narrowed) && narrowed >= std::numeric_limits<float>::min();
}

}  // namespace

std::optional<GemmWeight> gemm_weight(const ExportedProgram& program, const Value* value) {
  if (program.is_constant(value)) return GemmWeight{*program.constant(value), std::nullopt};
  const Node* node = value->producer();
  if (!node) return std::nullopt;
  const ConstantOp kind = constant_op(*node);
  if (kind == ConstantOp::dequantize) {
    const auto dequantized = qdq::dequantized(program, value);
    if (!dequantized) return std::nullopt;
    const Tensor* data = program.constant(dequantized->source);
    if (!data) return std::nullopt;
    return GemmWeight{*data, dequantized->params};
  }
  if (kind == ConstantOp::permute || kind == ConstantOp::transpose_2d) {
    std::optional<GemmWeight> inner = gemm_weight(program, first_input(*node));
    if (!inner) return std::nullopt;
    const std::vector<int64_t> permutation = permutation_of(*node, kind);
    inner->data = inner->data.permuted(permutation);
    if (const auto axis = inner->params ? inner->params->axis() : std::nullopt)
      inner->params->block_size = channel_blocks(std::ranges::find(permutation, *axis) - permutation.begin());
    return inner;
  }
  const std::optional<Tensor> folded = constant_value(program, value);
  if (!folded) return std::nullopt;
  return GemmWeight{*folded, std::nullopt};
}

bool is_int8_weight(const GemmWeight& weight, int64_t channel_axis) {
  if (!weight.params) return false;
  const QuantParams& params = *weight.params;
  return params.dtype == DType::int8 && weight.data.dtype() == DType::int8 && (params.is_per_tensor() || params.axis() == channel_axis) &&
         (params.is_per_tensor() || static_cast<int64_t>(params.scale.size()) == weight.data.size(channel_axis)) &&
         std::ranges::all_of(params.zero_point, [](int64_t zero) { return zero == 0; }) &&
         std::ranges::all_of(params.scale, is_usable_scale);
}

std::optional<Tensor> constant_value(const ExportedProgram& program, const Value* value) {
  ConstantValues constants = constants_of(program);
  const Tensor* tensor = constants.find(value);
  return tensor ? std::optional(*tensor) : std::nullopt;
}

bool is_constant_value(const ExportedProgram& program, const Value* value) { return constants_of(program).is_constant(value); }

}  // namespace intaglio::xnnpack
