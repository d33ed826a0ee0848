#include "backends/vulkan/quantized_layer.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "backends/common/gemm_operands.h"
#include "ir/infer.h"

namespace intaglio::vulkan {
namespace {

using common::ProgramFacts;

constexpr int64_t embedding_block = 32;  // elements of a row that a thread looks up

Tensor by_rows(const Tensor& scale, int64_t rows) { return scale.reshaped({rows, rows == 0 ? 0 : scale.numel() / rows}); }

std::optional<IntegerRows> torchaos_rows(const ProgramFacts& facts, const Node& dequantize) {
  const auto rows = qdq::grouped_rows_of(dequantize);
  if (!rows || !facts.makes_constant(dequantize)) return std::nullopt;
  const auto constant = [&](const Value* value) { return facts.program().constant(value); };
  const Tensor& integers = *constant(rows->integers);
  IntegerRows found{.value = rows->integers,
                    .scale_value = rows->scale,
                    .integers = integers,
                    .scale = by_rows(*constant(rows->scale), integers.size(0)),
                    .group_size = rows->group_size,
                    .quant_min = rows->quant_min,
                    .quant_max = rows->quant_max,
                    .is_torchaos = true};
  if (rows->zero_point) found.zero_point = *constant(rows->zero_point);
  return found;
}

// One scale for the tensor or for each row.
std::optional<IntegerRows> pt2e_rows(const ProgramFacts& facts, const Value* operand) {
  const auto weight = common::gemm_weight(facts, operand);
  if (!weight || !weight->params || weight->data.rank() != 2) return std::nullopt;
  const QuantParams& params = *weight->params;
  if (!params.is_per_tensor() && params.axis() != 0) return std::nullopt;
  const int64_t rows = weight->data.size(0);
  const std::vector<double> scales =
      params.scale.size() == 1 ? std::vector<double>(static_cast<size_t>(rows), params.scale[0]) : params.scale;
  const std::vector<float> scale(scales.begin(), scales.end());
  IntegerRows found{.integers = weight->data,
                    .scale = Tensor::of<float>(std::span<const float>(scale), {rows, 1}),
                    .group_size = weight->data.size(1),
                    .quant_min = params.quant_min,
                    .quant_max = params.quant_max};
  if (const Node* dequantize = qdq::dequantize_of(operand)) {
    found.value = dequantize->tensor("input");
    if (params.is_per_channel()) found.scale_value = dequantize->tensor("scales");
  }
  const std::vector<int64_t>& zeros = params.zero_point;
  if (std::ranges::any_of(zeros, [](int64_t zero) { return zero != 0; }))
    found.zero_point = Tensor::of<int64_t>(std::span<const int64_t>(zeros), {static_cast<int64_t>(zeros.size())});
  return found;
}

std::optional<IntegerRows> integer_rows(const ProgramFacts& facts, const Value* operand) {
  if (operand->producer() == nullptr) return std::nullopt;
  if (auto rows = torchaos_rows(facts, *operand->producer())) return rows;
  return pt2e_rows(facts, operand);
}

bool has_zero_points(const IntegerRows& weight) {
  if (!weight.zero_point) return false;
  const Tensor wide = converted(weight.zero_point->for_one_use(), DType::float32).contiguous();
  return std::ranges::any_of(wide.span<float>(), [](float zero) { return zero != 0; });
}

bool has_four_bits(const IntegerRows& weight) { return weight.quant_min >= -8 && weight.quant_max <= 7; }

constexpr std::string_view no_zero_points = "the runtime has no zero points for weights: choose a symmetric mapping type";

std::string refusal_of_weight(const IntegerRows& weight) {
  if (weight.integers.dtype() != DType::int8) return "the runtime takes weights of int8 and below";
  if (has_zero_points(weight)) return std::string(no_zero_points);
  if (weight.groups() == 1) return "";
  if (!has_four_bits(weight))
    return fmt::format("the runtime takes groups of weights with 4 bits or fewer, not [{}, {}]: choose PerAxis(0)", weight.quant_min,
                       weight.quant_max);
  if (weight.group_size % 4 != 0) return fmt::format("the runtime takes groups of a multiple of 4, not of {}", weight.group_size);
  return "";
}

std::string refusal_of_input(const ProgramFacts& facts, const TensorMeta& input) {
  if (input.dtype != DType::float32 && input.dtype != DType::float16) return "the runtime computes in float32 and float16";
  const auto is_too_large = [&](const SymInt& size) {
    const auto upper = common::upper_bound(facts.program(), size);
    return !upper || *upper > std::numeric_limits<int32_t>::max();
  };
  if (std::ranges::any_of(input.sizes, is_too_large)) return "sizes have an upper bound below 2^31 (give the dynamic dimension a max)";
  if (std::ranges::count(input.sizes, SymInt(0)) > 0) return "no empty tensor";
  const auto symbolic = std::ranges::count_if(input.sizes, [](const SymInt& size) { return !size.is_static(); });
  if (symbolic > 1 && !is_flat(input.sizes)) return "inputs of more than two dimensions have at most one dynamic one";
  return "";
}

// Nodes that dequantize, move and reshape the constant.
void add_weight_parts(const ProgramFacts& facts, const Value* operand, std::vector<const Node*>& parts) {
  for (const Node* node = operand->producer(); node && facts.makes_constant(*node); node = node->inputs().front()->producer())
    parts.push_back(node);
}

// What quantizes the input at run time, for this layer alone; a view to two dimensions may stand between.
std::optional<qdq::Dynamic> dynamic_input(const Value* input, std::vector<const Node*>& parts) {
  const Node* view = input->producer();
  const bool is_view = view && view->is("aten.view_copy.default") && input->has_one_user();
  const Value* read = is_view ? view->tensor("self") : input;
  if (read->producer() == nullptr || read->producer()->outputs().size() != 1 || read->sizes().empty() ||
      read->sizes().back() != input->sizes().back())
    return std::nullopt;
  const auto dynamic = qdq::dynamic_of(read);
  if (!dynamic || !qdq::has_one_reader(*dynamic)) return std::nullopt;
  parts.insert(parts.end(), {dynamic->choose, dynamic->quantize, dynamic->dequantize});
  if (is_view) parts.push_back(view);
  return dynamic;
}

// The kernel that ExecuTorch takes for PT2E's rows of 4 bits has a shader for more than one row only, and none that is padded.
bool takes_qcs4w(const QuantizedLayer& layer) {
  const SymSizes& sizes = layer.input()->sizes();
  const SymInt rows = size_product(std::span(sizes).first(sizes.size() - 1));
  return !layer.weight.is_torchaos && rows.is_static() && rows.value() > 1 && layer.weight.rows() % 4 == 0 &&
         layer.weight.columns() % 4 == 0;
}

std::optional<QuantizedLayer> quantized_linear(const ProgramFacts& facts, Node& node) {
  auto weight = integer_rows(facts, node.tensor("weight"));
  if (!weight) return std::nullopt;
  QuantizedLayer layer{.node = &node, .reader = &node, .weight = *std::move(weight), .parts = {&node}};
  add_weight_parts(facts, node.tensor("weight"), layer.parts);
  const auto dynamic = dynamic_input(layer.input(), layer.parts);
  if (dynamic) layer.reader = dynamic->choose;
  layer.refusal = refusal_of_weight(layer.weight);
  if (layer.refusal.empty()) layer.refusal = refusal_of_input(facts, layer.input()->meta());
  if (!layer.refusal.empty()) return layer;
  if (!has_four_bits(layer.weight)) layer.kernel = Kernel::int8;
  else if (dynamic && dynamic->per_token && dynamic->dtype == DType::int8) layer.kernel = Kernel::int4_groups_dynamic;
  else layer.kernel = takes_qcs4w(layer) ? Kernel::int4_rows : Kernel::int4_groups;
  layer.drops_input_rounding = dynamic && layer.kernel != Kernel::int4_groups_dynamic;
  return layer;
}

std::string refusal_of_table(const IntegerRows& table) {
  if (std::string why = refusal_of_weight(table); !why.empty()) return why;
  if (!has_four_bits(table)) return "the runtime looks up rows of 4 bits, not of 8: choose int4 to delegate them";
  if (table.columns() % embedding_block != 0) return fmt::format("the runtime looks up rows of a multiple of {}", embedding_block);
  return "";
}

std::optional<QuantizedLayer> quantized_table(const ProgramFacts& facts, Node& node) {
  const Value* operand = node.tensor("weight");
  auto table = operand->producer() ? torchaos_rows(facts, *operand->producer()) : std::nullopt;
  if (!table) return std::nullopt;
  QuantizedLayer layer{
      .node = &node, .kernel = Kernel::int4_table, .reader = &node, .argument = "indices", .weight = *std::move(table), .parts = {&node}};
  add_weight_parts(facts, operand, layer.parts);
  layer.refusal = refusal_of_table(layer.weight);
  return layer;
}

// As exporters of language models write it, for ExecuTorch's own kernel: two integers a byte, the first in the high bits.
std::optional<QuantizedLayer> packed_table(const ProgramFacts& facts, Node& node) {
  const ExportedProgram& program = facts.program();
  const Tensor *bytes = program.constant(node.tensor("weight")), *scale = program.constant(node.tensor("weight_scales"));
  if (!bytes || !scale || bytes->rank() != 2 || bytes->numel() == 0 || scale->numel() % bytes->size(0) != 0) return std::nullopt;
  QuantizedLayer layer{.node = &node, .kernel = Kernel::packed_table, .reader = &node, .argument = "indices", .parts = {&node}};
  const int64_t rows = bytes->size(0), columns = bytes->size(1) * 2;
  layer.weight = {.value = node.tensor("weight"),
                  .scale_value = node.tensor("weight_scales"),
                  .integers = *bytes,
                  .scale = by_rows(*scale, rows),
                  .quant_min = node.integer("weight_quant_min"),
                  .quant_max = node.integer("weight_quant_max")};
  const int64_t groups = layer.weight.scale.size(1);
  if (groups == 0 || columns % groups != 0) return std::nullopt;
  layer.weight.group_size = columns / groups;
  if (const Value* zero = node.optional_tensor("weight_zero_points")) {
    const Tensor* known = program.constant(zero);
    if (!known) return std::nullopt;
    layer.weight.zero_point = *known;
  }
  if (layer.weight.quant_min != -8 || layer.weight.quant_max != 7) layer.refusal = "the runtime looks up integers of [-8, 7]";
  else if (has_zero_points(layer.weight)) layer.refusal = no_zero_points;
  else if (columns % embedding_block != 0) layer.refusal = fmt::format("the runtime looks up rows of a multiple of {}", embedding_block);
  else if (layer.weight.group_size % 4 != 0)
    layer.refusal = fmt::format("the runtime takes groups of a multiple of 4, not of {}", layer.weight.group_size);
  return layer;
}

// Of the looked up rows, and of the indices.
std::string refusal_of_lookup(const ProgramFacts& facts, const QuantizedLayer& layer) {
  if (std::string why = refusal_of_input(facts, layer.node->output()->meta()); !why.empty()) return why;
  const bool is_integral = layer.input()->dtype() == DType::int64 || layer.input()->dtype() == DType::int32;
  return is_integral ? "" : "the runtime looks up indices of int32 and int64";
}

}  // namespace

bool is_flat(const SymSizes& sizes) { return sizes.size() == 2 || (sizes.size() == 3 && sizes[0].is_static() && sizes[0].value() == 1); }

std::optional<QuantizedLayer> quantized_layer(const ProgramFacts& facts, Node& node) {
  if (node.is("aten.linear.default")) return quantized_linear(facts, node);
  std::optional<QuantizedLayer> table;
  if (node.is("aten.embedding.default")) table = quantized_table(facts, node);
  else if (node.op().name().starts_with("quantized_decomposed.embedding_4bit.")) table = packed_table(facts, node);
  if (table && table->refusal.empty()) table->refusal = refusal_of_lookup(facts, *table);
  return table;
}

}  // namespace intaglio::vulkan
