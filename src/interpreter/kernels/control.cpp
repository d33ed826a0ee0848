// Sub-graphs: conditions, loops, and regions that only switch something of the exporter's.
#include <algorithm>

#include <fmt/format.h>

#include "decompose/regions.h"
#include "interpreter/graph_runner.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

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

std::vector<RuntimeValue> results_of(Call& call, const Graph& graph, const std::vector<RuntimeValue>& operands) {
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
  return runner->run(call.context().pool, call.threads(), nullptr, nullptr);
}

void run_region(Call& call, const Graph& graph, const std::vector<RuntimeValue>& operands) {
  std::vector<RuntimeValue> results = results_of(call, graph, operands);
  call.require(results.size() == call.result_count(), "the sub-graph gives another number of results");
  for (size_t i = 0; i < results.size(); ++i) call.set(std::move(results[i]), i);
}

bool holds(Call& call, const RuntimeValue& condition) {
  if (const auto* number = std::get_if<Number>(&condition)) return number->as_double() != 0;
  const auto* tensor = std::get_if<Tensor>(&condition);
  call.require(tensor != nullptr && tensor->defined() && tensor->numel() == 1, "the condition is not one value");
  return tensor->item_as_double() != 0;
}

void cond(Call& call) { run_region(call, graph_at(call, holds(call, call.value(0)) ? 1 : 2), call.values(3)); }

std::vector<RuntimeValue> joined(std::vector<RuntimeValue> a, const std::vector<RuntimeValue>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// One row of each tensor.
std::vector<RuntimeValue> rows_at(Call& call, const std::vector<RuntimeValue>& tensors, int64_t index) {
  std::vector<RuntimeValue> rows;
  for (const RuntimeValue& value : tensors) {
    const auto* tensor = std::get_if<Tensor>(&value);
    call.require(tensor != nullptr && tensor->defined() && tensor->rank() > 0 && index < tensor->size(0), "the tensors differ in length");
    const Tensor row = tensor->narrowed(0, index, 1);
    rows.emplace_back(
        row.view_as({row.sizes().begin() + 1, row.sizes().end()}, {row.strides().begin() + 1, row.strides().end()}, row.storage_offset()));
  }
  return rows;
}

// One result of a loop, to be filled row by row.
Tensor stack(Call& call, const RuntimeValue& first, int64_t length) {
  const auto* row = std::get_if<Tensor>(&first);
  call.require(row != nullptr && row->defined(), "an iteration gave no tensor");
  Sizes sizes = row->sizes();
  sizes.insert(sizes.begin(), length);
  return call.empty(row->dtype(), sizes);
}

// Variant: whether something is carried from iteration to iteration (scan), or not (map).
void scan(Call& call) {
  const Graph& body = graph_at(call, 0);
  const auto carries = static_cast<size_t>(call.variant());
  std::vector<RuntimeValue> carried = carries != 0 ? call.values(1) : std::vector<RuntimeValue>();
  const std::vector<RuntimeValue> tensors = call.values(1 + carries), shared = call.values(2 + carries);
  const auto* first = tensors.empty() ? nullptr : std::get_if<Tensor>(&tensors[0]);
  call.require(first != nullptr && first->defined() && first->rank() > 0, "a loop over something else than tensors with dimensions");
  const int64_t length = first->size(0);
  if (length == 0) call.unsupported("a loop over a tensor without rows, which PyTorch refuses too; give it one at least");
  std::vector<Tensor> stacked;
  for (int64_t i = 0; i < length; ++i) {
    std::vector<RuntimeValue> results = results_of(call, body, joined(joined(carried, rows_at(call, tensors, i)), shared));
    call.require(results.size() == call.result_count() && results.size() >= carried.size(), "the body gives another number of results");
    for (size_t k = carried.size(); k < results.size(); ++k) {
      if (i == 0) stacked.push_back(stack(call, results[k], length));
      const std::vector<RuntimeValue> row = rows_at(call, {stacked[k - carried.size()]}, i);
      const auto* made = std::get_if<Tensor>(&results[k]);
      call.require(made != nullptr && made->sizes() == std::get<Tensor>(row[0]).sizes(), "the iterations give results of different sizes");
      copy_into(std::get<Tensor>(row[0]), *made, call.threads());
    }
    std::copy_n(results.begin(), carried.size(), carried.begin());
  }
  for (size_t k = 0; k < carried.size(); ++k) call.set(std::move(carried[k]), k);
  for (size_t k = 0; k < stacked.size(); ++k) call.set(std::move(stacked[k]), carried.size() + k);
}

void while_loop(Call& call) {
  std::vector<RuntimeValue> carried = call.values(2);
  const std::vector<RuntimeValue> shared = call.values(3);
  for (;;) {
    const std::vector<RuntimeValue> condition = results_of(call, graph_at(call, 0), joined(carried, shared));
    call.require(condition.size() == 1, "the condition is not one value");
    if (!holds(call, condition[0])) break;
    std::vector<RuntimeValue> next = results_of(call, graph_at(call, 1), joined(carried, shared));
    call.require(next.size() == carried.size(), "the body gives another number of results");
    carried = std::move(next);
  }
  call.require(carried.size() == call.result_count(), "the loop gives another number of results");
  for (size_t i = 0; i < carried.size(); ++i) call.set(std::move(carried[i]), i);
}

// Variant: the position of the sub-graph; the operands follow it.
void wrapped(Call& call) {
  if (!decompose::is_transparent(call.node()))
    call.unsupported("autocast inside a condition or loop cannot be run; cast in the model, or export it without autocast");
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
      {"higher_order.map_impl", scan, 0, result_aliases},
      {"higher_order.scan", scan, 1, result_aliases},
      {"higher_order.while_loop", while_loop, 0, result_aliases},
      {"higher_order.wrap_with_autocast", wrapped, 4, result_aliases},
  };
  return table;
}

}  // namespace intaglio::interp
