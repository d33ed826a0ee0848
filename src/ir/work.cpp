#include "ir/work.h"

#include <algorithm>
#include <limits>

namespace intaglio {
namespace {

constexpr uint64_t most = std::numeric_limits<uint64_t>::max();

uint64_t times(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? most : product;
}

// The product of all sizes but the first: what one output channel of a weight multiplies.
uint64_t row_elements(const Sizes& weight) { return weight.empty() ? 0 : element_count(Sizes(weight.begin() + 1, weight.end())); }

// For each op with a contraction: the argument whose last size is contracted.
struct Contraction {
  std::string_view op;
  std::string_view left;
};
constexpr Contraction contractions[] = {
    {"linear", "input"}, {"mm", "self"},        {"bmm", "self"}, {"matmul", "self"},
    {"addmm", "mat1"},   {"baddbmm", "batch1"}, {"mv", "self"},  {"dot", "self"},
};

std::optional<uint64_t> macs(const CallShapes& call) {
  if (call.op.starts_with("conv")) {
    const auto weight = call.sizes_of("weight"), input = call.sizes_of("input");
    if (!weight || !input) return std::nullopt;
    const bool transposed = call.transposed || call.op.starts_with("conv_transpose");
    return times(element_count(transposed ? *input : call.result), row_elements(*weight));
  }
  if (call.op == "scaled_dot_product_attention") {
    const auto query = call.sizes_of("query"), key = call.sizes_of("key"), value = call.sizes_of("value");
    if (!query || !key || !value || key->size() < 2 || value->empty()) return std::nullopt;
    const auto length = static_cast<uint64_t>((*key)[key->size() - 2]);
    const uint64_t scores = times(element_count(*query), length);
    return saturating_add(scores, times(element_count(call.result), length));
  }
  const auto* row = std::ranges::find(contractions, call.op, &Contraction::op);
  if (row == std::end(contractions)) return std::nullopt;
  const auto left = call.sizes_of(row->left);
  if (!left || left->empty()) return std::nullopt;
  return times(element_count(call.result), static_cast<uint64_t>(left->back()));
}

Sizes largest_sizes(const ExportedProgram& program, const Value& value) {
  Sizes sizes;
  for (const SymInt& size : value.sizes()) {
    if (size.is_static()) {
      sizes.push_back(size.value());
      continue;
    }
    const auto bound = bounds(*size.expression(), program.range_constraints).max;
    sizes.push_back(bound ? *bound : size.hint().value_or(1));
  }
  return sizes;
}

// How often the body of a loop over tensors runs; where nobody knows, once.
uint64_t iterations_of(const ExportedProgram& program, const Node& node) {
  const size_t tensors = node.is("higher_order.scan") ? 2 : node.is("higher_order.map_impl") ? 1 : node.arguments().size();
  if (tensors >= node.arguments().size()) return 1;
  const std::vector<Value*> values = values_in(node.arguments()[tensors].value);
  if (values.empty() || !values[0]->is_tensor() || values[0]->sizes().empty()) return 1;
  return static_cast<uint64_t>(std::max<int64_t>(largest_sizes(program, *values[0])[0], 1));
}

std::optional<Work> work_of_subgraphs(const ExportedProgram& program, const Node& node) {
  std::optional<Work> most_of;
  for (const NamedArgument& argument : node.arguments()) {
    const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>();
    if (subgraph == nullptr) continue;
    Work inside;
    for (const Node* inner : (*subgraph)->graph->node_list()) {
      const Work work = work_of(program, *inner);
      inside = {saturating_add(inside.amount, work.amount), inside.is_macs || work.is_macs};
    }
    if (!most_of || inside.amount > most_of->amount) most_of = inside;
  }
  if (most_of) most_of->amount = times(most_of->amount, iterations_of(program, node));
  return most_of;
}

}  // namespace

uint64_t element_count(const Sizes& sizes) {
  uint64_t count = 1;
  for (const int64_t size : sizes) count = times(count, static_cast<uint64_t>(std::max<int64_t>(size, 0)));
  return count;
}

uint64_t saturating_add(uint64_t a, uint64_t b) { return a > most - b ? most : a + b; }

Work work_of(const CallShapes& call) {
  if (const auto amount = macs(call)) return {*amount, true};
  return {call.elements, false};
}

Work work_of(const ExportedProgram& program, const Node& node) {
  if (const auto inside = work_of_subgraphs(program, node)) return *inside;
  CallShapes call;
  call.op = node.op().base();
  if (const Argument* transposed = node.find("transposed")) call.transposed = transposed->get_if<bool>() && *transposed->get_if<bool>();
  call.sizes_of = [&](std::string_view name) -> std::optional<Sizes> {
    const Argument* argument = node.find(name);
    Value* const* value = argument == nullptr ? nullptr : argument->get_if<Value*>();
    if (value == nullptr || *value == nullptr || !(*value)->is_tensor()) return std::nullopt;
    return largest_sizes(program, **value);
  };
  const auto count = [&](const std::vector<Value*>& values) {
    for (const Value* value : values)
      if (value->is_tensor()) call.elements = saturating_add(call.elements, element_count(largest_sizes(program, *value)));
  };
  count(node.inputs());
  count(node.outputs());
  if (!node.outputs().empty() && node.output()->is_tensor()) call.result = largest_sizes(program, *node.output());
  return work_of(call);
}

bool computes_on_floats(const Node& node) {
  const auto is_float = [](const Value* value) { return value->is_tensor() && is_floating(value->dtype()); };
  return std::ranges::any_of(node.outputs(), is_float) && std::ranges::any_of(node.inputs(), is_float);
}

uint64_t total_work(const ExportedProgram& program, const std::function<bool(const Node&)>& counts) {
  uint64_t sum = 0;
  for (const Node* node : program.graph().node_list())
    if (!counts || counts(*node)) sum = saturating_add(sum, work_of(program, *node).amount);
  return sum;
}

double WorkShare::of(const std::vector<const Node*>& nodes) {
  if (!all_) all_ = total_work(program_, computes_on_floats);
  uint64_t part = 0;
  for (const Node* node : nodes) part = saturating_add(part, work_of(program_, *node).amount);
  return *all_ == 0 ? 0 : static_cast<double>(part) / static_cast<double>(*all_);
}

}  // namespace intaglio
