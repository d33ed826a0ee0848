#include "backends/coreml/quantized_forms.h"

#include <algorithm>

#include "qdq/reader.h"
#include "quant/affine.h"

namespace intaglio::coreml {
namespace {

constexpr std::string_view code_book = "codebook";
constexpr std::string_view casts[] = {"aten.to.dtype", "aten._to_copy.default", "dim_order_ops._to_dim_order_copy.default"};

bool is_byte(DType dtype) { return dtype == DType::int8 || dtype == DType::uint8; }

bool has_own_zero_points(const QuantParams& params) {
  return std::ranges::all_of(params.zero_point, [&](int64_t zero) { return zero >= params.quant_min && zero <= params.quant_max; });
}

// The operation clips to the range of the type.
bool is_activation(const QuantParams& params) {
  const quant::QuantRange range = quant::range_of(params.dtype);
  return (params.is_per_tensor() || params.is_per_channel()) && params.quant_min == range.min && params.quant_max == range.max;
}

std::optional<QuantizedForm> form_of_tables(const ExportedProgram& program, const Node& node) {
  const Value* codes = stored_codes(program, node);
  const Tensor *indices = codes ? program.constant(codes) : nullptr, *table = program.constant(node.tensor(code_book));
  const int64_t bits = table_bits(node);
  if (!indices || !table || bits < 1 || bits > 8 || table->rank() != indices->rank() + 2 || table->size(-1) != 1 ||
      table->size(-2) != int64_t{1} << bits)
    return std::nullopt;
  for (int64_t i = 0; i < indices->rank(); ++i)
    if (table->size(i) == 0 || indices->size(i) % table->size(i) != 0) return std::nullopt;
  return QuantizedForm::table;
}

}  // namespace

Value* stored_codes(const ExportedProgram& program, const Node& node) {
  Value* codes = node.tensor("codes");
  for (const Node* cast = codes->producer(); cast; cast = codes->producer()) {
    if (std::ranges::find(casts, cast->op().name()) == std::end(casts)) return nullptr;
    codes = cast->tensor("self");
  }
  return program.is_constant(codes) ? codes : nullptr;
}

int64_t table_bits(const Node& node) { return node.integer("nbits"); }
int64_t stored_table_bits(int64_t bits) { return bits == 5 || bits == 7 ? bits + 1 : bits; }

std::optional<qdq::Dynamic> dynamic_chain(const Node& node) {
  const qdq::OpRow* row = qdq::find(node);
  if (!row || node.outputs().empty()) return std::nullopt;
  const Node* last = &node;
  if (row->role != qdq::Role::dequantize) {
    const std::vector<Node*>& users = node.outputs().front()->users();
    const auto found = std::ranges::find_if(users, [](const Node* user) { return qdq::is_dequantize(*user); });
    if (found == users.end()) return std::nullopt;
    last = *found;
  }
  const auto dynamic = qdq::any_dynamic_of(last->output());
  return dynamic && qdq::has_one_reader(*dynamic) ? dynamic : std::nullopt;
}

std::optional<QuantizedForm> quantized_form(const common::ProgramFacts& facts, const Node& node) {
  const qdq::OpRow* row = qdq::find(node);
  if (!row) return std::nullopt;
  if (dynamic_chain(node)) return QuantizedForm::dynamic;
  if (row->role == qdq::Role::choose) return std::nullopt;
  const ExportedProgram& program = facts.program();
  if (row->granularity == qdq::Granularity::code_book) return form_of_tables(program, node);
  if (const auto rows = qdq::grouped_rows_of(node)) {
    const bool is_constant =
        program.constant(rows->integers) && program.constant(rows->scale) && (!rows->zero_point || program.constant(rows->zero_point));
    return is_constant && is_byte(rows->integers->dtype()) ? std::optional(QuantizedForm::groups) : std::nullopt;
  }
  const QuantParams* params = facts.params_of(node);
  if (!params || !is_byte(params->dtype) || !(params->is_per_tensor() || params->is_per_channel()) || !has_own_zero_points(*params))
    return std::nullopt;
  if (row->role == qdq::Role::dequantize && facts.stored(node.tensor(row->places.input))) return QuantizedForm::channels;
  return is_activation(*params) ? std::optional(QuantizedForm::activation) : std::nullopt;
}

Version version_for(const common::ProgramFacts& facts, const Node& node) {
  const auto form = quantized_form(facts, node);
  if (!form) return Version::ios15;
  switch (*form) {
    case QuantizedForm::dynamic: return Version::ios15;
    case QuantizedForm::activation: return Version::ios17;
    case QuantizedForm::channels: return Version::ios16;
    case QuantizedForm::groups: {
      const qdq::GroupedRows rows = *qdq::grouped_rows_of(node);
      const bool is_wide = rows.quant_max - rows.quant_min > 15;
      return is_wide && rows.is_per_row() ? Version::ios16 : Version::ios18;
    }
    case QuantizedForm::table: {
      const int64_t entries = element_count(node.tensor(code_book)->meta().static_sizes());
      return entries == int64_t{1} << table_bits(node) ? Version::ios16 : Version::ios18;
    }
  }
  return Version::ios15;
}

bool is_known(const common::ProgramFacts& facts, const Value* value) {
  if (facts.stored(value)) return true;
  const Node* producer = value->producer();
  const auto form = producer ? quantized_form(facts, *producer) : std::nullopt;
  return form && *form != QuantizedForm::activation && *form != QuantizedForm::dynamic;
}

}  // namespace intaglio::coreml
