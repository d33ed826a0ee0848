#include <algorithm>

#include "backends/coreml/lower/constants.h"
#include "backends/coreml/lower/rows.h"
#include "backends/coreml/quantized_forms.h"
#include "qdq/reader.h"

namespace intaglio::coreml::rows {
namespace {

constexpr int64_t values_of_four_bits = 16;

Literal integers_literal(const Tensor& integers, int64_t range) {
  if (range > values_of_four_bits) return literal(integers.contiguous());
  return packed_literal(integers.contiguous(), integers.dtype() == DType::int8 ? DataType::int4 : DataType::uint4);
}

bool is_all_zero(const Tensor& tensor) {
  const Tensor wide = converted(tensor, DType::int64).contiguous();
  return std::ranges::all_of(wide.span<int64_t>(), [](int64_t value) { return value == 0; });
}

// An integer matrix or tensor and its parameters, in sizes that broadcast: [rows, groups], [channels, 1, 1, 1].
struct Scaled {
  Tensor integers, scale, zero_point;
  int64_t range = 256;  // of the values that the integers may have
  int32_t axis = 0;
};

Scaled scaled_groups(const ExportedProgram& program, const Node& node) {
  const qdq::GroupedRows rows = *qdq::grouped_rows_of(node);
  Scaled scaled{.integers = *program.constant(rows.integers), .range = rows.quant_max - rows.quant_min + 1};
  const Sizes sizes = {scaled.integers.size(0), scaled.integers.size(1) / rows.group_size};
  scaled.scale = program.constant(rows.scale)->reshaped(sizes);
  scaled.zero_point = rows.zero_point ? program.constant(rows.zero_point)->reshaped(sizes) : Tensor::zeros(DType::int8, sizes);
  return scaled;
}

Scaled scaled_channels(const common::ProgramFacts& facts, const Node& node) {
  const QuantParams& params = *facts.params_of(node);
  Scaled scaled{.integers = *facts.program().constant(node.tensor(qdq::find(node)->places.input)),
                .range = params.quant_max - params.quant_min + 1};
  Sizes sizes(scaled.integers.sizes().size(), 1);
  if (const auto axis = params.axis()) {
    scaled.axis = static_cast<int32_t>(*axis);
    sizes[static_cast<size_t>(*axis)] = std::ssize(params.scale);
  }
  scaled.scale = Tensor::of<double>(std::span(params.scale), sizes);
  scaled.zero_point = Tensor::of<int64_t>(std::span(params.zero_point), std::move(sizes));
  return scaled;
}

NamedType decompressed(Lowering& l, const Node& node, const Scaled& scaled) {
  const DataType type = l.type_of(node.output()).type;
  const std::string& name = node.output()->name();
  Literal scale = constant_literal(scaled.scale, type);
  const Tensor zero_point = converted(scaled.zero_point, scaled.integers.dtype()).contiguous();
  if (l.version() >= Version::ios18)
    return l.builder().blockwise_shift_scale(
        name, integers_literal(scaled.integers, scaled.range), std::move(scale),
        is_all_zero(zero_point) ? std::nullopt : std::optional(integers_literal(zero_point, scaled.range)));
  // One scale, or one for each index of the axis.
  Literal zeros = literal(zero_point);
  scale.dims = zeros.dims = scaled.scale.numel() == 1 ? Sizes() : Sizes{scaled.scale.numel()};
  return l.builder().affine_dequantize(name, literal(scaled.integers.contiguous()), std::move(scale), std::move(zeros),
                                       scale.dims.empty() ? 0 : scaled.axis);
}

NamedType looked_up(Lowering& l, const Node& node) {
  const ExportedProgram& program = l.facts().program();
  const Tensor indices = converted(*program.constant(node.tensor("codes")), DType::uint8).contiguous();
  const Tensor table = converted(*program.constant(node.tensor("codebook")), *row_of(l.type_of(node.output()).type).dtype);
  return l.builder().lut_to_dense(node.output()->name(), indices, table.contiguous(), static_cast<int>(table_bits(node)));
}

// scale, zero_point, axis as the operations take them; a zero point of 0 is left out.
Lowering::Parameters activation_parameters(Lowering& l, const Node& node, const QuantParams& params, DataType scale_type) {
  const bool is_one = params.is_per_tensor();
  const Sizes sizes = is_one ? Sizes() : Sizes{std::ssize(params.scale)};
  Lowering::Parameters parameters = {{"input", l.first_operand(node)},
                                     {"scale", constant_literal(Tensor::of<double>(std::span(params.scale), sizes), scale_type)}};
  const Tensor zero_point = Tensor::of<int64_t>(std::span(params.zero_point), sizes);
  if (!is_all_zero(zero_point)) parameters.emplace_back("zero_point", literal(converted(zero_point, params.dtype)));
  if (!is_one) parameters.emplace_back("axis", scalar_literal(static_cast<int32_t>(*params.axis())));
  return parameters;
}

}  // namespace

// Integers that are found at run time make nothing faster here: their reader reads what they are of.
void choose(Lowering&, const Node&, std::string_view) {}

void quantize(Lowering& l, const Node& node, std::string_view mil) {
  if (dynamic_chain(node)) return;
  const QuantParams& params = *l.facts().params_of(node);
  Lowering::Parameters parameters = activation_parameters(l, node, params, l.float_type());
  parameters.emplace_back("output_dtype", text_literal(std::string(row_of(*data_type(params.dtype)).name)));
  l.finish(node, mil, std::move(parameters));
}

void dequantize(Lowering& l, const Node& node, std::string_view mil) {
  switch (*quantized_form(l.facts(), node)) {
    case QuantizedForm::dynamic: return l.set(node.output(), l.cast(l.operand(dynamic_chain(node)->source), l.type_of(node.output()).type));
    case QuantizedForm::activation:
      return l.finish(node, mil, activation_parameters(l, node, *l.facts().params_of(node), l.type_of(node.output()).type));
    case QuantizedForm::channels: return l.set(node.output(), decompressed(l, node, scaled_channels(l.facts(), node)));
    case QuantizedForm::groups: return l.set(node.output(), decompressed(l, node, scaled_groups(l.facts().program(), node)));
    case QuantizedForm::table: return l.set(node.output(), looked_up(l, node));
  }
}

}  // namespace intaglio::coreml::rows
