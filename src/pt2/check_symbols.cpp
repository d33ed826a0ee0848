#include "pt2/model_json.h"

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/sym_symbols.h"

namespace intaglio::pt2 {
namespace {

using Visit = std::function<void(const Value&, const SymInt&)>;

void for_each_size(const Value& value, const Visit& visit) {
  if (value.is_tensor())
    for (const SymInt& size : value.sizes()) visit(value, size);
  else if (value.sym && value.kind() == ValueKind::sym_int) visit(value, *value.sym);
}

// Those of bodies too: symbols mean the same in them.
void for_each_size(const Graph& graph, const Visit& visit) {
  for (const Value* input : graph.inputs()) for_each_size(*input, visit);
  for (const Node* node : graph.node_list()) {
    for (const Value* output : node->outputs()) for_each_size(*output, visit);
    for (const NamedArgument& argument : node->arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) for_each_size(*(*subgraph)->graph, visit);
  }
}

bool is_known(const SymExpr& expression, const SymBindings& bindings) {
  if (expression.kind == SymExpr::Kind::symbol) return bindings.contains(expression.name);
  return std::ranges::all_of(expression.arguments, [&](const SymExprPtr& argument) { return is_known(*argument, bindings); });
}

[[noreturn]] void fail(const Value& value, const SymInt& size, const std::string& what) {
  throw_bad_input(fmt::format("a size of '{}' ({}) {}; the file is damaged", escaped(value.name(), 80), escaped(size.text(), 80), what));
}

}  // namespace

void check_symbols(const ExportedProgram& program) {
  SymBindings exported;
  for_each_size(program.graph(), [&](const Value& value, const SymInt& size) {
    if (size.is_static() || size.expression()->kind != SymExpr::Kind::symbol || !size.hint()) return;
    const auto [known, is_new] = exported.emplace(size.expression()->name, *size.hint());
    if (!is_new && known->second != *size.hint())
      fail(value, size, fmt::format("is {} here and {} elsewhere", *size.hint(), known->second));
    const auto range = program.range_constraints.find(size.expression()->name);
    if (!is_new || range == program.range_constraints.end()) return;
    const auto& [min, max] = range->second;
    if ((min && *size.hint() < *min) || (max && *size.hint() > *max))
      fail(value, size, fmt::format("is {}, which its range leaves out", *size.hint()));
  });
  std::unordered_set<std::string> of_inputs;
  const auto add = [&](const std::string& symbol) { of_inputs.insert(symbol); };
  for (const Value* input : program.graph().inputs())
    for_each_size(*input, [&](const Value&, const SymInt& size) {
      if (!size.is_static()) visit_symbols(*size.expression(), add);
    });
  for_each_size(program.graph(), [&](const Value& value, const SymInt& size) {
    if (size.is_static()) return;
    visit_symbols(*size.expression(), [&](const std::string& symbol) {
      if (is_input_symbol(symbol) && !of_inputs.contains(symbol)) fail(value, size, "is of no input");
    });
    if (size.expression()->kind == SymExpr::Kind::symbol || !is_known(*size.expression(), exported)) return;
    const auto computed = evaluate(*size.expression(), exported);
    if (!computed) fail(value, size, "divides by zero or leaves 64 bits in the exported call");
    if (size.hint() && *size.hint() != *computed) fail(value, size, fmt::format("is said to be {} and is {}", *size.hint(), *computed));
    if (value.is_tensor() && *computed < 0) fail(value, size, fmt::format("is {}", *computed));
  });
}

}  // namespace intaglio::pt2
