#include "decompose/regions.h"

#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/rewrite.h"

namespace intaglio::decompose {
namespace {

struct Region {
  const Graph* body = nullptr;
  std::vector<Value*> operands;
};

Region region_of(const Node& node) {
  Region region;
  for (const NamedArgument& argument : node.arguments()) {
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) {
      region.body = (*subgraph)->graph.get();
    } else if (region.body) {
      for (Value* value : values_in(argument.value)) region.operands.push_back(value);
    }
  }
  return region;
}

void inline_one(Graph& graph, Node& node, int depth) {
  constexpr int deepest = 32;
  const Region region = region_of(node);
  if (depth > deepest) throw_bad_input(fmt::format("{}: sub-graphs are nested too deeply", describe(node)));
  if (!region.body || region.body->inputs().size() != region.operands.size())
    throw_bad_input(fmt::format("{}: the sub-graph's inputs do not fit the operands", describe(node)));
  std::unordered_map<const Value*, Value*> mapping;
  for (size_t i = 0; i < region.operands.size(); ++i) mapping[region.body->inputs()[i]] = region.operands[i];
  std::vector<Node*> nested;
  for (const Node* inner : region.body->node_list()) {
    Node& copy = copy_node(graph, &node, *inner, mapping);
    if (is_transparent(copy)) nested.push_back(&copy);
  }
  const std::vector<Argument> results = region.body->outputs();
  if (results.size() != node.outputs().size()) throw_bad_input(fmt::format("{}: the sub-graph's results do not fit", describe(node)));
  for (size_t i = 0; i < results.size(); ++i) {
    if (node.output(i)->users().empty()) continue;
    Value* const* value = results[i].get_if<Value*>();
    if (!value) throw_unsupported(fmt::format("{}: a sub-graph returns something else than a tensor", describe(node)));
    graph.replace_all_uses(node.output(i), mapping.at(*value));
  }
  graph.erase(&node);
  for (Node* region_inside : nested) inline_one(graph, *region_inside, depth + 1);
}

}  // namespace

bool is_transparent(const Node& node) {
  if (node.is("higher_order.wrap_with_set_grad_enabled")) return true;
  const auto* enabled = node.arguments().size() > 2 ? node.arguments()[2].value.get_if<bool>() : nullptr;
  return node.is("higher_order.wrap_with_autocast") && enabled && !*enabled;
}

void inline_regions(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (is_transparent(*node)) inline_one(program.graph(), *node, 0);
}

std::vector<const Graph*> subgraphs_of(const Node& node) {
  std::vector<const Graph*> graphs;
  for (const NamedArgument& argument : node.arguments())
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) graphs.push_back((*subgraph)->graph.get());
  return graphs;
}

std::string describe_region(const Node& node) {
  const std::string place = describe(node);
  if (!source_line(node).empty()) return place;
  for (const Graph* body : subgraphs_of(node))
    for (const Node* inner : body->node_list())
      if (!source_line(*inner).empty()) return fmt::format("{} around {}", place, describe(*inner));
  return place;
}

}  // namespace intaglio::decompose
