#include "edge/passes/cache_positions.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "interpreter/strided.h"

namespace intaglio::edge {
namespace {

SymSizes sizes_but_ones(const Value* value) {
  SymSizes sizes;
  std::ranges::copy_if(value->sizes(), std::back_inserter(sizes), [](const SymInt& size) { return !(size == SymInt(1)); });
  return sizes;
}

Value* operand_value(const Argument& argument) {
  Value* const* value = argument.get_if<Value*>();
  return value ? *value : nullptr;
}

bool is_number(const Node& node, std::string_view argument, int64_t number) {
  const Argument given = node.argument(argument);
  const auto* integer = given.get_if<int64_t>();
  return integer && *integer == number;
}

// 0, 1, 2, ... in an integer type.
bool counts_from_zero(Value* value) {
  const Node* node = behind_views(value)->producer();
  if (!is_integral(value->dtype())) return false;
  if (is_one_of(node, {"aten.arange.default"})) return true;
  return is_one_of(node, {"aten.arange.start", "aten.arange.start_step"}) && is_number(*node, "start", 0) &&
         (node->is("aten.arange.start") || is_number(*node, "step", 1));
}

}  // namespace

bool is_one_of(const Node* node, std::initializer_list<std::string_view> ops) {
  return node && std::ranges::find(ops, node->op().name()) != ops.end();
}

Value* behind_views(Value* value) {
  while (true) {
    const Node* node = value->producer();
    if (!node || !value->is_tensor() || node->outputs().size() != 1) return value;
    const bool moves =
        is_one_of(node, {"aten.unsqueeze.default", "aten.view.default", "aten.reshape.default", "aten.alias.default", "aten.clone.default",
                         "aten.contiguous.default", "aten.detach.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.expand.default",
                         "aten.slice.Tensor", "aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten._to_copy.default"});
    if (!moves) return value;
    Value* source = node->tensor("self");
    if (source->dtype() != value->dtype() || sizes_but_ones(source) != sizes_but_ones(value)) return value;
    value = source;
  }
}

std::optional<Start> start_at(Value* value) {
  if (!value->is_tensor()) {
    const Node* node = value->producer();
    if (is_one_of(node, {"aten.item.default", "aten._local_scalar_dense.default"})) return start_at(node->tensor("self"));
    return value->kind() == ValueKind::sym_int ? std::optional(Start{value, std::nullopt}) : std::nullopt;
  }
  if (!is_integral(value->dtype()) || !sizes_but_ones(value).empty()) return std::nullopt;
  value = behind_views(value);
  const Node* node = value->producer();
  const bool selects = is_one_of(node, {"aten.select.int"}), cuts = is_one_of(node, {"aten.slice.Tensor"});
  if (!selects && !cuts) return value->meta().rank() == 1 ? std::optional(Start{value, 0}) : std::nullopt;
  Value* source = behind_views(node->tensor("self"));
  const Argument place = node->argument(selects ? "index" : "start");
  const auto* index = place.get_if<int64_t>();
  if (!index || *index < 0 || source->meta().rank() != 1) return std::nullopt;
  return Start{source, *index};
}

std::optional<Start> consecutive_from(Value* positions) {
  if (!positions->is_tensor() || !is_integral(positions->dtype())) return std::nullopt;
  const Value* counted = behind_views(positions);
  const Node* node = counted->producer();
  if (is_one_of(node, {"aten.add.Tensor", "aten.add.Scalar"}) && node->number("alpha") == 1) {
    Value *one = node->tensor("self"), *other = operand_value(node->argument("other"));
    if (other && counts_from_zero(one)) return start_at(other);
    if (other && other->is_tensor() && counts_from_zero(other)) return start_at(one);
    return std::nullopt;
  }
  if (is_one_of(node, {"aten.arange.start", "aten.arange.start_step"})) {
    Value* from = operand_value(node->argument("start"));
    if (from && (node->is("aten.arange.start") || is_number(*node, "step", 1))) return start_at(from);
  }
  return start_at(positions);  // one position
}

bool CausalMasks::is_causal(Value* mask, const Start& start, const SymInt& rows, int64_t columns) {
  const std::tuple key(mask, start.source, start.index.value_or(-1));
  if (causal_.contains(key)) return true;
  constexpr int deepest = 16;
  if (!matches(mask, start, rows, columns, deepest)) return false;
  causal_.insert(key);
  return true;
}

bool CausalMasks::matches(Value* mask, const Start& start, const SymInt& rows, int64_t columns, int depth) {
  const SymSizes& sizes = mask->sizes();
  if (depth == 0 || sizes.size() < 2 || !(sizes[sizes.size() - 2] == rows) || !(sizes.back() == SymInt(columns))) return false;
  const Node* node = mask->producer();
  if (!node) return false;
  const auto again = [&](Value* other) { return matches(other, start, rows, columns, depth - 1); };
  const auto begins = [&](const std::optional<Start>& found) { return found && *found == start; };
  if (is_one_of(node, {"aten.expand.default", "aten.unsqueeze.default", "aten.view.default", "aten.reshape.default", "aten.clone.default",
                       "aten.alias.default", "aten.contiguous.default"}))
    return again(node->tensor("self"));
  if (is_one_of(node, {"aten.to.dtype", "aten.to.device", "aten._to_copy.default", "aten.slice.Tensor"}) &&
      node->tensor("self")->sizes() == mask->sizes())
    return node->tensor("self")->dtype() == mask->dtype() && again(node->tensor("self"));
  if (is_one_of(node, {"aten.le.Tensor", "aten.ge.Tensor"})) {
    const bool less = node->is("aten.le.Tensor");
    Value *column = node->tensor(less ? "self" : "other"), *row = node->tensor(less ? "other" : "self");
    return counts_columns(column, columns) && row->meta().rank() >= 2 && row->sizes().back() == SymInt(1) &&
           row->sizes()[row->sizes().size() - 2] == rows && begins(consecutive_from(row));
  }
  if (is_one_of(node, {"aten.logical_and.default", "aten.bitwise_and.Tensor", "aten.__and__.Tensor"}) && mask->dtype() == DType::boolean) {
    const auto is_true = [](double element) { return element != 0; };
    Value *one = node->tensor("self"), *other = node->tensor("other");
    return (is_all(one, is_true) && again(other)) || (again(one) && (is_all(other, is_true) || again(other)));
  }
  if (is_one_of(node, {"aten.where.self", "aten.where.Scalar", "aten.where.ScalarSelf", "aten.where.ScalarOther"})) {
    const auto is = [&](std::string_view argument, bool (*holds)(double)) {
      Value* tensor = operand_value(node->argument(argument));
      return tensor ? is_all(tensor, holds) : holds(node->number(argument));
    };
    return is("self", [](double element) { return element == 0; }) && is("other", [](double element) { return element <= -6e4; }) &&
           again(node->tensor("condition"));
  }
  if (is_one_of(node, {"aten.index.Tensor"})) {
    Value* table = node->tensor("self");
    const List<Value*> indices = node->tensors("indices");
    const auto row_dim = static_cast<size_t>(table->meta().rank() - 2);
    return indices.size() == row_dim + 1 && std::ranges::count(indices, nullptr) == std::ssize(indices) - 1 && indices.back() &&
           begins(consecutive_from(indices.back())) && is_triangle(table, columns);
  }
  if (is_one_of(node, {"aten.slice.Tensor", "aten.narrow.default"})) {
    Value *table = node->tensor("self"), *from = operand_value(node->argument("start"));
    const int64_t dim = node->integer("dim"), rank = table->meta().rank();
    return from && (dim < 0 ? dim + rank : dim) == rank - 2 && (node->is("aten.narrow.default") || is_number(*node, "step", 1)) &&
           begins(start_at(from)) && is_triangle(table, columns);
  }
  return false;
}

bool CausalMasks::counts_columns(Value* value, int64_t columns) {
  if (!is_integral(value->dtype()) || value->sizes().empty() || !(value->sizes().back() == SymInt(columns)) ||
      sizes_but_ones(value).size() > 1)
    return false;
  const Tensor* tensor = constants_.find(value);
  if (!tensor) return false;
  const Tensor numbers = converted(*tensor, DType::int64).contiguous();
  const auto all = numbers.span<int64_t>();
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] != static_cast<int64_t>(i)) return false;
  return std::ssize(all) == columns;
}

// [rows, columns]: true, or nothing, up to the diagonal, and false, or what no softmax sees, beyond it.
bool CausalMasks::is_triangle(Value* table, int64_t columns) {
  const Tensor* tensor = table->meta().is_static() && sizes_but_ones(table).size() <= 2 ? constants_.find(table) : nullptr;
  if (!tensor) return false;
  const bool is_choice = table->dtype() == DType::boolean;
  if (!is_choice && !is_floating(table->dtype())) return false;
  const Tensor numbers = converted(*tensor, DType::float32).contiguous();
  const auto all = numbers.span<float>();
  for (size_t i = 0; i < all.size(); ++i) {
    const bool reads = is_choice ? all[i] != 0 : all[i] == 0;
    if (!reads && !is_choice && all[i] > -6e4f) return false;
    if (reads != (i % static_cast<size_t>(columns) <= i / static_cast<size_t>(columns))) return false;
  }
  return true;
}

bool CausalMasks::is_all(Value* value, bool (*holds)(double)) {
  const Tensor* tensor = value->meta().is_static() ? constants_.find(value) : nullptr;
  if (!tensor || tensor->numel() == 0) return false;
  const Tensor numbers = converted(*tensor, DType::float64).contiguous();
  return std::ranges::all_of(numbers.span<double>(), holds);
}

}  // namespace intaglio::edge
