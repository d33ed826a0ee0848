#include "qdq/reader.h"

#include "quant/affine.h"

namespace intaglio::qdq {
namespace {

using Numbers = std::optional<std::vector<double>>;

// A literal, or the elements of a constant tensor; empty for None.
Numbers numbers(const Node& node, std::string_view name, const ConstantLookup& constant) {
  const Argument argument = node.argument(name);
  if (argument.is_none()) return std::vector<double>();
  const auto* value = argument.get_if<Value*>();
  if (!value) return std::vector{node.number(name)};
  const Tensor* tensor = constant(*value);
  if (!tensor) return std::nullopt;
  const Tensor wide = converted(*tensor, DType::float64).contiguous();
  return std::vector<double>(wide.span<double>().begin(), wide.span<double>().end());
}

std::vector<int64_t> integers(const std::vector<double>& numbers) { return {numbers.begin(), numbers.end()}; }

// nullopt when the node names an axis that its operand has not.
std::optional<std::vector<int64_t>> block_size_of(const Node& node, const OpRow& row) {
  const SymSizes& sizes = node.tensor(row.places.input)->sizes();
  const auto rank = static_cast<int64_t>(sizes.size());
  std::vector<int64_t> rows(sizes.empty() ? 0 : sizes.size() - 1, 1);
  switch (row.granularity) {
    case Granularity::tensor: return std::vector<int64_t>();
    case Granularity::channel: {
      const int64_t axis = node.integer("axis");
      if (axis < -rank || axis >= rank) return std::nullopt;
      return channel_blocks(axis < 0 ? axis + rank : axis);
    }
    case Granularity::token: return rows;
    case Granularity::group: rows.push_back(node.integer("group_size")); break;
    case Granularity::block:
    case Granularity::code_book: rows = node.integers("block_size"); break;
  }
  for (size_t dim = 0; dim < rows.size() && dim < sizes.size(); ++dim)
    if (sizes[dim].is_static() && rows[dim] == sizes[dim].value()) rows[dim] = whole_dimension;
  while (!rows.empty() && rows.back() == whole_dimension) rows.pop_back();
  return rows;
}

bool read_code_book(const Node& node, const OpRow& row, const ConstantLookup& constant, QuantParams& params) {
  const Tensor* book = constant(node.tensor(row.places.scale));
  const int64_t bits = node.integer("nbits");
  if (!book || bits < 1 || bits > 8) return false;
  params.code_book = *book;
  params.dtype = node.tensor(row.places.input)->dtype();
  params.quant_min = 0;
  params.quant_max = (int64_t{1} << bits) - 1;
  return true;
}

bool read_affine(const Node& node, const OpRow& row, const ConstantLookup& constant, QuantParams& params) {
  const std::optional<DType> dtype = node.optional_dtype(row.places.dtype);
  const Numbers scale = numbers(node, row.places.scale, constant), zero_point = numbers(node, row.places.zero_point, constant);
  const Numbers lowest = numbers(node, "quant_min", constant), highest = numbers(node, "quant_max", constant);
  if (!dtype || !scale || !zero_point || !lowest || !highest) return false;
  if (!zero_point->empty() && zero_point->size() != scale->size()) return false;
  params.dtype = *dtype;
  params.scale = *scale;
  params.zero_point = zero_point->empty() ? std::vector<int64_t>(scale->size(), 0) : integers(*zero_point);
  params.quant_min = lowest->empty() ? quant::range_of(*dtype).min : integers(*lowest)[0];
  params.quant_max = highest->empty() ? quant::range_of(*dtype).max : integers(*highest)[0];
  return true;
}

int64_t bound_of(const Node& node, std::string_view name, int64_t own) {
  return node.argument(name).is_none() ? own : static_cast<int64_t>(node.number(name));
}

}  // namespace

bool GroupedRows::is_per_row() const { return integers->sizes()[1] == group_size; }

std::optional<GroupedRows> grouped_rows_of(const Node& node) {
  const OpRow* row = find(node);
  if (!row || row->role != Role::dequantize || (row->granularity != Granularity::block && row->granularity != Granularity::group))
    return std::nullopt;
  GroupedRows rows{.integers = node.tensor(row->places.input), .scale = node.tensor(row->places.scale)};
  const TensorMeta& matrix = rows.integers->meta();
  if (matrix.rank() != 2 || !matrix.is_static() || !rows.scale->meta().is_static() ||
      matrix.dtype != node.optional_dtype(row->places.dtype))
    return std::nullopt;
  const bool in_groups = row->granularity == Granularity::group;
  const std::vector<int64_t> block = in_groups ? std::vector<int64_t>{1, node.integer("group_size")} : node.integers("block_size");
  if (block.size() != 2 || block[0] != 1) return std::nullopt;
  const int64_t columns = matrix.sizes[1].value();
  rows.group_size = block[1];
  const auto count_of = [](const Value* value) { return element_count(value->meta().static_sizes()); };
  if (rows.group_size < 1 || columns % rows.group_size != 0 ||
      count_of(rows.scale) != matrix.sizes[0].value() * (columns / rows.group_size))
    return std::nullopt;
  rows.zero_point = node.optional_tensor(row->places.zero_point);
  if (rows.zero_point && (!rows.zero_point->meta().is_static() || count_of(rows.zero_point) != count_of(rows.scale))) return std::nullopt;
  const quant::QuantRange own = quant::range_of(matrix.dtype);
  rows.quant_min = bound_of(node, "quant_min", own.min);
  rows.quant_max = bound_of(node, "quant_max", own.max);
  return rows;
}

std::optional<QuantParams> params_of(const Node& node, const ConstantLookup& constant) {
  const OpRow* row = find(node);
  if (!row || row->role == Role::choose) return std::nullopt;
  auto block_size = block_size_of(node, *row);
  if (!block_size) return std::nullopt;
  QuantParams params{.block_size = std::move(*block_size)};
  const auto read = row->granularity == Granularity::code_book ? read_code_book : read_affine;
  return read(node, *row, constant, params) ? std::optional(std::move(params)) : std::nullopt;
}

std::optional<QuantParams> params_of(const ExportedProgram& program, const Node& node) {
  return params_of(node, [&](const Value* value) { return program.constant(value); });
}

}  // namespace intaglio::qdq
