#include "edge/passes/passes.h"

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <vector>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "interpreter/constant_values.h"
#include "interpreter/strided.h"

namespace intaglio::edge {
namespace {

using decompose::GraphBuilder;

// Larger constants are no masks.
constexpr int64_t largest = int64_t{1} << 22;

// What is known of values before the program runs.
class Known {
 public:
  explicit Known(const ExportedProgram& program) : constants_(program, is_pure, Creations::constant) {}

  const Tensor* find(const Value* value) {
    const bool fits = value->is_tensor() && value->meta().is_static() && element_count(value->meta().static_sizes()) <= largest;
    return fits && constants_.is_constant(value) ? constants_.find(value) : nullptr;
  }
  // The number that all elements are, as far as booleans and integers go.
  std::optional<int64_t> number(const Value* value) {
    if (is_floating(value->dtype()) || is_complex(value->dtype())) return std::nullopt;
    const Tensor* tensor = find(value);
    if (!tensor || tensor->numel() == 0) return std::nullopt;
    const Tensor integers = converted(*tensor, DType::int64).contiguous();
    const auto all = integers.span<int64_t>();
    return std::ranges::all_of(all, [&](int64_t element) { return element == all[0]; }) ? std::optional(all[0]) : std::nullopt;
  }
  // Each value is asked once, and none by recursion: a file may chain and share choices as it likes.
  bool never_minus_infinity(const Value* value) {
    constexpr std::string_view moves[] = {"aten.view.default", "aten.expand.default", "aten.clone.default", "aten.permute.default",
                                          "aten.slice.Tensor"};
    std::vector<const Value*> queue = {value};
    std::unordered_set<const Value*> seen = {value};
    const auto ask = [&](const Value* source) {
      if (seen.insert(source).second) queue.push_back(source);
    };
    for (size_t i = 0; i < queue.size(); ++i) {
      if (const Tensor* tensor = find(queue[i])) {
        const Tensor floats = converted(*tensor, DType::float64).contiguous();
        if (std::ranges::count(floats.span<double>(), -std::numeric_limits<double>::infinity()) > 0) return false;
        continue;
      }
      const Node* node = queue[i]->producer();
      if (!node) return false;
      if (node->is("aten.where.self")) {
        ask(node->tensor("self"));
        ask(node->tensor("other"));
      } else if (std::ranges::find(moves, node->op().name()) != std::end(moves)) {
        ask(node->inputs().front());
      } else {
        return false;
      }
    }
    return true;
  }

 private:
  ConstantValues constants_;
};

Value* uniform(GraphBuilder& b, const Node& node, int64_t number) {
  const DType dtype = node.output()->dtype();
  return node.output()->meta().is_static() ? b.expand(b.number(number, dtype), node.output()->sizes()) : nullptr;
}

// x and true, x or false.
Value* joined(GraphBuilder& b, Known& known, const Node& node, bool neutral) {
  if (node.output()->dtype() != DType::boolean) return nullptr;
  for (const auto& [one, other] : {std::pair("self", "other"), std::pair("other", "self")}) {
    const auto number = known.number(node.tensor(one));
    if (!number || node.tensor(other)->dtype() != DType::boolean) continue;
    return (*number != 0) == neutral ? b.expand(node.tensor(other), node.output()->sizes()) : uniform(b, node, neutral ? 0 : 1);
  }
  return nullptr;
}
Value* with_true(GraphBuilder& b, Known& known, const Node& node) { return joined(b, known, node, true); }
Value* with_false(GraphBuilder& b, Known& known, const Node& node) { return joined(b, known, node, false); }

Value* choice(GraphBuilder& b, Known& known, const Node& node) {
  const auto condition = known.number(node.tensor("condition"));
  Value* chosen = condition ? node.tensor(*condition != 0 ? "self" : "other") : nullptr;
  return chosen && chosen->dtype() == node.output()->dtype() ? b.expand(chosen, node.output()->sizes()) : nullptr;
}

Value* is_minus_infinity(GraphBuilder& b, Known& known, const Node& node) {
  if (node.number("other") != -std::numeric_limits<double>::infinity()) return nullptr;
  return known.never_minus_infinity(node.tensor("self")) ? uniform(b, node, 0) : nullptr;
}

// The same elements in their order.
Value* all_in_order(GraphBuilder& b, Known& known, const Node& node) {
  Value* table = node.tensor("self");
  const std::vector<Value*> indices = node.inputs();
  if (!table->meta().is_static() || !node.output()->meta().is_static() || indices.size() != table->sizes().size() + 1) return nullptr;
  const Sizes result = node.output()->meta().static_sizes(), sizes = table->meta().static_sizes();
  const int64_t count = element_count(result);
  if (count != element_count(sizes) || count > largest) return nullptr;
  std::vector<int64_t> places(static_cast<size_t>(count), 0);
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    const Value* index = indices[dim + 1];
    const Tensor* tensor = index->dtype() == DType::int64 || index->dtype() == DType::int32 ? known.find(index) : nullptr;
    if (!tensor) return nullptr;
    const Tensor integers = converted(*tensor, DType::int64);
    const Tensor spread = integers.view_as(result, interp::broadcast_strides(integers, result), integers.storage_offset()).contiguous();
    for (size_t i = 0; i < places.size(); ++i) {
      const int64_t place = spread.data<int64_t>()[i];
      if (place < -sizes[dim] || place >= sizes[dim]) return nullptr;
      places[i] = places[i] * sizes[dim] + (place < 0 ? place + sizes[dim] : place);
    }
  }
  for (size_t i = 0; i < places.size(); ++i)
    if (places[i] != static_cast<int64_t>(i)) return nullptr;
  return b.view(table, node.output()->sizes());
}

Value* of_one_number(GraphBuilder& b, Known& known, const Node& node) {
  const auto number = known.number(node.tensor("self"));
  return number ? b.full(node.output()->sizes(), *number, node.output()->dtype(), node.tensor("index")) : nullptr;
}

Value* times_one(GraphBuilder&, Known& known, const Node& node) {
  for (const auto& [one, other] : {std::pair("self", "other"), std::pair("other", "self")}) {
    const Node* cast = node.tensor(one)->producer();
    const bool is_mask = cast && cast->is("aten._to_copy.default") && cast->tensor("self")->dtype() == DType::boolean;
    if (!is_mask || known.number(cast->tensor("self")) != 1) continue;
    Value* kept = node.tensor(other);
    if (kept->sizes() == node.output()->sizes() && kept->dtype() == node.output()->dtype()) return kept;
  }
  return nullptr;
}

// The value that the node's result is, or null.
struct Rule {
  std::string_view op;
  Value* (*settle)(GraphBuilder&, Known&, const Node&);
};
constexpr Rule rules[] = {
    {"aten.bitwise_and.Tensor", with_true},
    {"aten.logical_and.default", with_true},
    {"aten.bitwise_or.Tensor", with_false},
    {"aten.logical_or.default", with_false},
    {"aten.where.self", choice},
    {"aten.eq.Scalar", is_minus_infinity},
    {"aten.index.Tensor", all_in_order},
    {"aten.gather.default", of_one_number},
    {"aten.mul.Tensor", times_one},
};

}  // namespace

void settle_masks(ExportedProgram& program) {
  Graph& graph = program.graph();
  Known known(program);  // asked all along: values stay what they are, whoever reads them
  for (Node* node : graph.node_list()) {
    const auto rule = std::ranges::find_if(rules, [&](const Rule& each) { return node->is(each.op); });
    if (rule == std::end(rules) || decompose::is_program_output(node->output())) continue;
    GraphBuilder build(program, *node);
    if (Value* settled = rule->settle(build, known, *node)) graph.replace_all_uses(node->output(), settled);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
