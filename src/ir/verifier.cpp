#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/graph.h>
#include <intaglio/program.h>

namespace intaglio {
namespace {

void check_uses(const Graph& graph) {
  std::unordered_map<const Value*, std::vector<const Node*>> uses;
  const auto collect = [&](const Node& node) {
    for (const Value* value : node.inputs()) uses[value].push_back(&node);
  };
  for (const Node* node : graph.node_list()) collect(*node);
  collect(graph.output_node());
  const auto check = [&](const Value* value) {
    std::vector<const Node*> expected = uses[value];
    std::vector<const Node*> stated(value->users().begin(), value->users().end());
    std::sort(expected.begin(), expected.end());
    std::sort(stated.begin(), stated.end());
    if (expected != stated) throw_bug(fmt::format("use list of value '{}' is wrong", value->name()));
  };
  for (const Value* input : graph.inputs()) check(input);
  for (const Node* node : graph.node_list())
    for (const Value* output : node->outputs()) check(output);
}

void check_node(const Graph& graph, const Node& node, const std::unordered_set<const Value*>& defined) {
  if (&node.graph() != &graph) throw_bug(fmt::format("node '{}' belongs to another graph", node.name()));
  for (const Value* value : node.inputs())
    if (!defined.contains(value)) throw_bug(fmt::format("node '{}' uses '{}' before it is defined", node.name(), value->name()));
  const OpSchema* schema = node.op().schema();
  std::unordered_set<std::string_view> seen;
  for (const NamedArgument& argument : node.arguments()) {
    if (argument.name.empty()) continue;
    if (!seen.insert(argument.name).second) throw_bug(fmt::format("{}: argument '{}' is given twice", describe(node), argument.name));
    if (schema != nullptr && schema->find(argument.name) == nullptr)
      throw_bug(fmt::format("{}: the operator has no argument '{}'", describe(node), argument.name));
  }
  size_t grouped = 0;
  for (const Node::OutputGroup& group : node.output_groups()) grouped += group.count;
  if (grouped != node.outputs().size()) throw_bug(fmt::format("{}: results and their groups differ", describe(node)));
}

}  // namespace

void verify(const Graph& graph) {
  std::unordered_set<const Value*> defined(graph.inputs().begin(), graph.inputs().end());
  std::unordered_set<std::string_view> names;
  const auto define = [&](const Value* value) {
    if (!names.insert(value->name()).second) throw_bug(fmt::format("two values are called '{}'", value->name()));
    if (graph.find_value(value->name()) != value) throw_bug(fmt::format("value '{}' is not found by its name", value->name()));
    if (value->is_tensor() && value->meta().sizes.size() != value->meta().strides.size())
      throw_bug(
          fmt::format("value '{}' has {} sizes and {} strides", value->name(), value->meta().sizes.size(), value->meta().strides.size()));
  };
  for (const Value* input : graph.inputs()) define(input);
  for (const Node* node : graph.node_list()) {
    check_node(graph, *node, defined);
    for (const Value* output : node->outputs()) {
      define(output);
      if (output->producer() != node) throw_bug(fmt::format("value '{}' has another producer", output->name()));
      defined.insert(output);
    }
    for (const NamedArgument& argument : node->arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) verify(*(*subgraph)->graph);
  }
  check_node(graph, graph.output_node(), defined);
  check_uses(graph);
}

void verify(const ExportedProgram& program) {
  const Graph& graph = program.graph();
  verify(graph);
  if (program.input_specs.size() != graph.inputs().size())
    throw_bug(fmt::format("{} graph inputs but {} input specs", graph.inputs().size(), program.input_specs.size()));
  if (program.output_specs.size() != graph.outputs().size())
    throw_bug(fmt::format("{} graph outputs but {} output specs", graph.outputs().size(), program.output_specs.size()));
  for (size_t i = 0; i < program.input_specs.size(); ++i) {
    const InputSpec& spec = program.input_specs[i];
    if (spec.value != graph.inputs()[i]) throw_bug(fmt::format("input spec {} is of another value", i));
    const bool has_state =
        spec.kind == InputSpec::Kind::parameter || spec.kind == InputSpec::Kind::buffer || spec.kind == InputSpec::Kind::tensor_constant;
    if (!has_state) continue;
    const Tensor* tensor = program.constant(spec.value);
    if (tensor == nullptr) throw_bug(fmt::format("there is no tensor for '{}'", spec.target));
    const TensorMeta& meta = spec.value->meta();
    if (tensor->dtype() != meta.dtype || !meta.is_static() || tensor->sizes() != meta.static_sizes())
      throw_bug(fmt::format("tensor '{}' and the graph input '{}' differ in type or sizes", spec.target, spec.value->name()));
  }
}

}  // namespace intaglio
