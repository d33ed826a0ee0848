#include "edge/passes/inline_subgraphs.h"

#include <unordered_map>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "decompose/rewrite.h"

namespace intaglio {
namespace {

struct Wrapper {
  const Graph* body = nullptr;
  std::vector<Value*> operands;
};

Wrapper wrapper_of(const Node& node) {
  Wrapper wrapper;
  for (const NamedArgument& argument : node.arguments()) {
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) {
      wrapper.body = (*subgraph)->graph.get();
    } else if (wrapper.body) {
      for (Value* value : values_in(argument.value)) wrapper.operands.push_back(value);
    }
  }
  return wrapper;
}

// Branches of a condition stay sub-graphs: lower_branches takes care of them.
bool is_wrapper(const Node& node) { return node.op().name_space() == "higher_order" && !node.is("higher_order.cond"); }

void check(const Node& node) {
  if (node.is("higher_order.wrap_with_set_grad_enabled")) return;
  const auto* enabled = node.arguments().size() > 2 ? node.arguments()[2].value.get_if<bool>() : nullptr;
  if (node.is("higher_order.wrap_with_autocast") && enabled && !*enabled) return;
  // The wrapper itself has no line of the model; what stands inside has.
  std::string place = describe(node);
  for (const NamedArgument& argument : node.arguments())
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>(); subgraph && source_line(node).empty())
      for (const Node* inner : (*subgraph)->graph->node_list())
        if (!source_line(*inner).empty()) {
          place += fmt::format(" around {}", describe(*inner));
          break;
        }
  if (node.is("higher_order.wrap_with_autocast"))
    throw_unsupported(fmt::format("{}: autocast cannot be lowered; cast in the model, or export it without autocast", place));
  throw_unsupported(fmt::format("{}: of control flow only torch.cond can be lowered; write the model without it", place));
}

void inline_one(Graph& graph, Node& node, int depth) {
  constexpr int deepest = 32;
  check(node);
  const Wrapper wrapper = wrapper_of(node);
  if (depth > deepest) throw_bad_input(fmt::format("{}: sub-graphs are nested too deeply", describe(node)));
  if (!wrapper.body || wrapper.body->inputs().size() != wrapper.operands.size())
    throw_bad_input(fmt::format("{}: the sub-graph's inputs do not fit the operands", describe(node)));
  std::unordered_map<const Value*, Value*> mapping;
  for (size_t i = 0; i < wrapper.operands.size(); ++i) mapping[wrapper.body->inputs()[i]] = wrapper.operands[i];
  std::vector<Node*> nested;
  for (const Node* inner : wrapper.body->node_list()) {
    Node& copy = copy_node(graph, &node, *inner, mapping);
    if (is_wrapper(copy)) nested.push_back(&copy);
  }
  const std::vector<Argument> results = wrapper.body->outputs();
  if (results.size() != node.outputs().size()) throw_bad_input(fmt::format("{}: the sub-graph's results do not fit", describe(node)));
  for (size_t i = 0; i < results.size(); ++i) {
    Value* const* value = results[i].get_if<Value*>();
    if (!value) throw_unsupported(fmt::format("{}: a sub-graph returns something else than a tensor", describe(node)));
    graph.replace_all_uses(node.output(i), mapping.at(*value));
  }
  graph.erase(&node);
  for (Node* wrapped : nested) inline_one(graph, *wrapped, depth + 1);
}

}  // namespace

void inline_subgraphs(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (is_wrapper(*node)) inline_one(program.graph(), *node, 0);
}

}  // namespace intaglio
