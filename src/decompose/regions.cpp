#include "decompose/regions.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "ir/infer.h"

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

bool is_autocast(const Node& node, bool enabled) {
  const auto* given = node.arguments().size() > 2 ? node.arguments()[2].value.get_if<bool>() : nullptr;
  return node.is("higher_order.wrap_with_autocast") && given && *given == enabled;
}

bool is_region(const Node& node) { return is_transparent(node) || is_autocast(node, true); }

bool states_its_type(const Node& node) {
  constexpr std::string_view casts[] = {"to", "_to_copy", "type_as", "copy_"};
  const Argument* dtype = node.find("dtype");
  return std::ranges::find(casts, node.op().base()) != std::end(casts) || (dtype && !dtype->is_none());
}

// Autocast gives operators operands of another type than the graph says; what came of it is the type of the result.
void cast_operands(Graph& graph, Node& node) {
  constexpr DType cast_among[] = {DType::float32, DType::float16, DType::bfloat16};
  const auto is_cast = [&](DType dtype) { return std::ranges::find(cast_among, dtype) != std::end(cast_among); };
  if (node.outputs().empty() || !node.output(0)->is_tensor() || states_its_type(node) || !subgraphs_of(node).empty()) return;
  const DType wanted = node.output(0)->dtype();
  if (!is_cast(wanted)) return;
  const bool in_place = node.op().schema() && node.op().schema()->is_inplace();
  const std::vector<Value*> inputs = node.inputs();
  std::set<const Value*> seen;
  for (Value* operand : inputs) {
    if (!seen.insert(operand).second || !operand->is_tensor() || operand->dtype() == wanted || !is_cast(operand->dtype())) continue;
    if (in_place && operand == inputs.front()) continue;
    TensorMeta meta = operand->meta();
    meta.dtype = wanted;
    Node& cast = graph.insert_before(&node, Op::get("aten._to_copy.default"), {{"self", operand}, {"dtype", wanted, ArgKind::keyword}},
                                     {{std::move(meta)}}, operand->name() + "_cast");
    cast.metadata = inherited_metadata(node);
    graph.replace_uses_in(node, operand, cast.output());
  }
  refresh_metadata(node);
  if (node.output(0)->dtype() != wanted)
    throw_unsupported(fmt::format("{}: its result is {} under autocast, which no cast of its operands gives; cast in the model",
                                  describe(node), name(wanted)));
}

void inline_one(Graph& graph, Node& node, bool casts, int depth) {
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
    if (is_region(copy)) nested.push_back(&copy);
    else if (casts) cast_operands(graph, copy);
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
  for (Node* inside : nested) inline_one(graph, *inside, is_autocast(*inside, true) || (casts && !is_autocast(*inside, false)), depth + 1);
}

}  // namespace

bool is_transparent(const Node& node) { return node.is("higher_order.wrap_with_set_grad_enabled") || is_autocast(node, false); }

void inline_regions(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (is_region(*node)) inline_one(program.graph(), *node, is_autocast(*node, true), 0);
}

bool has_autocast(const Graph& graph, int depth) {
  constexpr int deepest = 32;
  const std::vector<Node*> nodes = graph.node_list();
  return std::ranges::any_of(nodes, [&](const Node* node) {
    if (is_autocast(*node, true)) return true;
    const std::vector<const Graph*> bodies = is_transparent(*node) && depth < deepest ? subgraphs_of(*node) : std::vector<const Graph*>();
    return std::ranges::any_of(bodies, [&](const Graph* body) { return has_autocast(*body, depth + 1); });
  });
}

std::vector<const Graph*> subgraphs_of(const Node& node) {
  std::vector<const Graph*> graphs;
  for (const NamedArgument& argument : node.arguments())
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) graphs.push_back((*subgraph)->graph.get());
  return graphs;
}

std::string_view advice_for_subgraph(const Node& node) {
  if (node.is("higher_order.cond")) return "write the layers outside the branches to quantize them";
  if (node.is("higher_order.scan") || node.is("higher_order.map_impl") || node.is("higher_order.while_loop"))
    return "write the loop in Python, which the exporter unrolls, to quantize the layers in it";
  return "export the model without it to quantize the layers in it";
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
