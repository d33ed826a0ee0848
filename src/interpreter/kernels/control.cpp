// Sub-graphs: a condition, and regions that only switch something of the exporter's.
#include <fmt/format.h>

#include "decompose/regions.h"
#include "interpreter/graph_runner.h"
#include "interpreter/kernel_table.h"

namespace intaglio::interp {
namespace {

struct RegionState : NodeState {
  std::vector<std::pair<const Graph*, std::unique_ptr<GraphRunner>>> runners;
};

// The deepest nesting a file may ask for.
constexpr int max_depth = 32;
thread_local int depth = 0;
struct DepthGuard {
  explicit DepthGuard(const Call& call) {
    if (++depth > max_depth) {
      --depth;
      call.fail("sub-graphs are nested too deeply");
    }
  }
  ~DepthGuard() { --depth; }
};

const Graph& graph_at(Call& call, size_t position) {
  const Argument* argument = call.literal(position);
  const auto* subgraph = argument == nullptr ? nullptr : argument->get_if<std::shared_ptr<Subgraph>>();
  if (subgraph == nullptr || *subgraph == nullptr || (*subgraph)->graph == nullptr)
    call.fail(fmt::format("argument {} is not a sub-graph", position));
  return *(*subgraph)->graph;
}

void run_region(Call& call, const Graph& graph, const std::vector<RuntimeValue>& operands) {
  const DepthGuard guard(call);
  RegionState& state = call.state<RegionState>();
  GraphRunner* runner = nullptr;
  for (const auto& [known, instance] : state.runners)
    if (known == &graph) runner = instance.get();
  if (runner == nullptr) {
    state.runners.emplace_back(&graph, std::make_unique<GraphRunner>(graph));
    runner = state.runners.back().second.get();
  }
  call.require(graph.inputs().size() == operands.size(), "the sub-graph takes another number of operands");
  for (size_t i = 0; i < operands.size(); ++i) runner->place(graph.inputs()[i]) = operands[i];
  std::vector<RuntimeValue> results = runner->run(call.context().pool, call.threads(), nullptr, nullptr);
  call.require(results.size() == call.result_count(), "the sub-graph gives another number of results");
  for (size_t i = 0; i < results.size(); ++i) call.set(std::move(results[i]), i);
}

void cond(Call& call) {
  const RuntimeValue predicate = call.value(0);
  bool holds = false;
  if (const auto* number = std::get_if<Number>(&predicate)) holds = number->as_double() != 0;
  else if (const auto* tensor = std::get_if<Tensor>(&predicate); tensor != nullptr && tensor->defined() && tensor->numel() == 1)
    holds = tensor->item_as_double() != 0;
  else call.fail("the condition is not one value");
  run_region(call, graph_at(call, holds ? 1 : 2), call.values(3));
}

// Variant: the position of the sub-graph; the operands follow it.
void wrapped(Call& call) {
  if (!is_transparent(call.node())) call.unsupported("autocast cannot be run; cast in the model, or export it without autocast");
  std::vector<RuntimeValue> operands;
  for (size_t i = static_cast<size_t>(call.variant()) + 1; i < call.argument_count(); ++i) operands.push_back(call.value(i));
  run_region(call, graph_at(call, static_cast<size_t>(call.variant())), operands);
}

}  // namespace

std::span<const Kernel> control_kernels() {
  constexpr bool result_aliases = true;
  static const Kernel table[] = {
      {"higher_order.cond", cond, 0, result_aliases},
      {"higher_order.wrap_with_set_grad_enabled", wrapped, 1, result_aliases},
      {"higher_order.wrap_with_autocast", wrapped, 4, result_aliases},
  };
  return table;
}

}  // namespace intaglio::interp
