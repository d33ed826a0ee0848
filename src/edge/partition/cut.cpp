#include "edge/partition/cut.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "edge/partition/order.h"

namespace intaglio {
namespace {

struct Boundary {
  std::vector<Value*> constants, inputs, outputs;
};

Boundary boundary_of(const ExportedProgram& program, const Partition& partition) {
  const std::unordered_set<const Node*> inside(partition.nodes.begin(), partition.nodes.end());
  std::unordered_set<const Value*> seen;
  Boundary boundary;
  for (const Node* node : partition.nodes) {
    for (Value* input : node->inputs()) {
      if ((input->producer() && inside.contains(input->producer())) || !seen.insert(input).second) continue;
      (program.is_constant(input) ? boundary.constants : boundary.inputs).push_back(input);
    }
    for (Value* output : node->outputs())
      if (std::any_of(output->users().begin(), output->users().end(), [&](const Node* user) { return !inside.contains(user); }))
        boundary.outputs.push_back(output);
  }
  // Parameters, buffers, constants: the order of every signature.
  std::stable_sort(boundary.constants.begin(), boundary.constants.end(),
                   [&](const Value* a, const Value* b) { return program.spec_of(a)->kind < program.spec_of(b)->kind; });
  return boundary;
}

TreeSpec flat_tuple(size_t leaves) {
  TreeSpec spec{"builtins.tuple", "\"null\"", {}, {}};
  spec.children.resize(leaves);
  return spec;
}

ExportedProgram extract(const ExportedProgram& program, const Partition& partition, const Boundary& boundary) {
  ExportedProgram sub;
  std::unordered_map<const Value*, Value*> mapping;
  const auto add = [&](const Value* value, InputSpec spec) {
    spec.value = sub.graph().add_input(sub.graph().inputs().size(), description(*value));
    mapping[value] = spec.value;
    sub.input_specs.push_back(std::move(spec));
  };
  for (const Value* value : boundary.constants) {
    const InputSpec& spec = *program.spec_of(value);
    const StateEntry* in_state = program.state.find(spec.target);
    const bool persistent = in_state && spec.kind != InputSpec::Kind::tensor_constant;
    (persistent ? sub.state : sub.constants).set(spec.target, persistent ? *in_state : *program.constants.find(spec.target));
    add(value, spec);
  }
  for (const Value* value : boundary.inputs) add(value, {InputSpec::Kind::user_input, nullptr, "", true});
  for (const Node* node : partition.nodes) copy_node(sub.graph(), nullptr, *node, mapping);
  std::vector<Argument> outputs;
  for (const Value* value : boundary.outputs) {
    outputs.push_back(mapping.at(value));
    sub.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  sub.graph().set_outputs(std::move(outputs));
  sub.range_constraints = program.range_constraints;
  sub.in_spec = flat_tuple(2);
  sub.in_spec.children[0] = flat_tuple(boundary.inputs.size());
  sub.in_spec.children[1] = {"builtins.dict", "\"[]\"", {}, {}};
  sub.out_spec = flat_tuple(boundary.outputs.size());
  sub.source = program.source;
  return sub;
}

// Brings the nodes into an order in which each partition's stand together.
void reorder(ExportedProgram& program, const std::vector<Partition>& partitions) {
  const std::vector<Node*> nodes = program.graph().node_list();
  std::vector<std::vector<Node*>> groups;
  for (const Partition& partition : partitions) groups.push_back(partition.nodes);
  const UnitOrder order = order_units(nodes, groups);
  if (!order.is_acyclic()) throw_bug("the partitions need each other's results in a cycle: one of them is not convex");
  for (size_t unit : order.sorted)
    for (size_t index : order.nodes[unit]) program.graph().move_before(nodes[index], nullptr);
}

void cut(ExportedProgram& program, const Partition& partition, const Boundary& boundary, size_t delegate) {
  Graph& graph = program.graph();
  std::vector<NamedArgument> arguments = {{"delegate", static_cast<int64_t>(delegate), ArgKind::positional}};
  for (Value* input : boundary.inputs) arguments.push_back({"", input, ArgKind::positional});
  std::vector<OutputSpecification> outputs;
  for (const Value* output : boundary.outputs) {
    outputs.push_back(description(*output));
    outputs.back().name.clear();
  }
  Node& call = graph.insert_before(partition.nodes.front(), Op::get(delegate_call), std::move(arguments), std::move(outputs));
  call.metadata = inherited_metadata(*partition.nodes.front());
  const std::unordered_set<const Node*> inside(partition.nodes.begin(), partition.nodes.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < boundary.outputs.size(); ++i) {
    names.push_back(boundary.outputs[i]->name());
    graph.replace_uses_if(boundary.outputs[i], call.output(i), [&](const Node& user) { return !inside.contains(&user); });
  }
  for (auto node = partition.nodes.rbegin(); node != partition.nodes.rend(); ++node) graph.erase(*node);
  for (size_t i = 0; i < names.size(); ++i) graph.rename(call.output(i), names[i]);
}

Partition in_graph_order(const Graph& graph, const Partition& partition) {
  const std::unordered_set<const Node*> inside(partition.nodes.begin(), partition.nodes.end());
  Partition sorted;
  for (Node* node : graph.node_list())
    if (inside.contains(node)) sorted.nodes.push_back(node);
  return sorted;
}

}  // namespace

ExportedProgram extract_partition(const ExportedProgram& program, const Partition& partition) {
  const Partition sorted = in_graph_order(program.graph(), partition);
  return extract(program, sorted, boundary_of(program, sorted));
}

void delegate_partitions(ExportedProgram& program, const Partitioner& partitioner, const std::vector<Partition>& partitions,
                         std::vector<Delegate>& delegates) {
  if (partitions.empty()) return;
  reorder(program, partitions);
  std::vector<Partition> sorted;
  for (const Partition& partition : partitions) sorted.push_back(in_graph_order(program.graph(), partition));
  for (const Partition& partition : sorted) {
    const Boundary boundary = boundary_of(program, partition);
    if (boundary.outputs.empty())
      throw_bug(fmt::format("the partition of '{}' has no result that anyone uses", partition.nodes.front()->name()));
    ExportedProgram sub = extract(program, partition, boundary);
    auto kept = std::make_unique<ExportedProgram>(sub.clone());
    Delegate made = partitioner.preprocess(std::move(sub));
    if (!made.program) made.program = std::move(kept);
    cut(program, partition, boundary, delegates.size());
    delegates.push_back(std::move(made));
  }
  program.remove_unused_constants();
}

}  // namespace intaglio
