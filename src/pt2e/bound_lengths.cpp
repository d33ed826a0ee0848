#include "pt2e/passes.h"

#include <algorithm>
#include <optional>

#include "interpreter/constant_values.h"

namespace intaglio::pt2e {
namespace {

using Length = std::optional<int64_t>;

Length sum_of_counts(const Node& node, ConstantValues& constants) {
  const Tensor* counts = constants.find(node.tensor("repeats"));
  if (counts == nullptr) return std::nullopt;
  const Tensor numbers = converted(*counts, DType::int64).contiguous();
  int64_t sum = 0;
  for (const int64_t count : numbers.span<int64_t>())
    if (count < 0 || __builtin_add_overflow(sum, count, &sum)) return std::nullopt;
  if (node.is("aten.repeat_interleave.Tensor") || numbers.numel() != 1) return sum;
  // One count for all.
  const SymSizes& sizes = node.tensor("self")->sizes();
  const auto dim = node.optional_integer("dim");
  const auto rank = static_cast<int64_t>(sizes.size());
  for (int64_t i = 0; i < rank; ++i) {
    const bool is_repeated = !dim || *dim == i || *dim + rank == i;
    if (is_repeated &&
        (!sizes[static_cast<size_t>(i)].is_static() || __builtin_mul_overflow(sum, sizes[static_cast<size_t>(i)].value(), &sum)))
      return std::nullopt;
  }
  return sum;
}

Length count_of_places(const Value* mask, ConstantValues& constants) {
  const Tensor* places = mask->is_tensor() ? constants.find(mask) : nullptr;
  if (places == nullptr) return std::nullopt;
  const Tensor flags = converted(*places, DType::boolean).contiguous();
  return std::ranges::count(flags.span<bool>(), true);
}
Length places_of_self(const Node& node, ConstantValues& constants) { return count_of_places(node.tensor("self"), constants); }
Length places_of_mask(const Node& node, ConstantValues& constants) {
  if (node.tensor("mask")->sizes() != node.tensor("self")->sizes()) return std::nullopt;
  return count_of_places(node.tensor("mask"), constants);
}
Length places_of_index(const Node& node, ConstantValues& constants) {
  const std::vector<Value*> indices = node.tensors("indices");
  const Value* mask = nullptr;
  for (const Value* index : indices) {
    if (index == nullptr) continue;
    if (mask != nullptr || index->dtype() != DType::boolean) return std::nullopt;
    mask = index;
  }
  return mask == nullptr ? std::nullopt : count_of_places(mask, constants);
}

struct LengthRow {
  std::string_view op;
  Length (*length)(const Node&, ConstantValues&);
};
constexpr LengthRow length_rows[] = {
    {"aten.repeat_interleave.self_Tensor", sum_of_counts},
    {"aten.repeat_interleave.Tensor", sum_of_counts},
    {"aten.index.Tensor", places_of_index},
    {"aten.masked_select.default", places_of_mask},
    {"aten.nonzero.default", places_of_self},
};

bool is_in(const std::vector<Value*>& values, const SymInt& size) {
  return std::ranges::any_of(values,
                             [&](const Value* value) { return value->is_tensor() && std::ranges::count(value->sizes(), size) > 0; });
}

}  // namespace

void bound_lengths(ExportedProgram& program) {
  // What the exporter makes of `torch.tensor(...)` is detached in place, which changes nothing.
  const auto keeps_values = [](const Node& node) { return is_pure(node) || node.is("aten.detach_.default"); };
  ConstantValues constants(program, keeps_values, Creations::constant);
  for (const Node* node : program.graph().node_list()) {
    const auto row = std::ranges::find(length_rows, node->op().name(), &LengthRow::op);
    if (row == std::end(length_rows)) continue;
    for (const SymInt& size : node->output()->sizes()) {
      if (size.is_static() || size.expression()->kind != SymExpr::Kind::symbol || is_in(node->inputs(), size)) continue;
      if (const Length length = row->length(*node, constants)) program.range_constraints[size.expression()->name] = {*length, *length};
    }
  }
}

}  // namespace intaglio::pt2e
