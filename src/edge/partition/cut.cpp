#include "edge/partition/cut.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "edge/partition/order.h"
#include "ir/mutations.h"

namespace intaglio::edge {
namespace {

struct Boundary {
  std::vector<Value*> constants, inputs, outputs;
  std::vector<std::pair<std::string, Value*>> states;  // owned buffers by name, and the value each gets
};

std::unordered_set<const Node*> node_set(const Partition& partition) { return {partition.nodes.begin(), partition.nodes.end()}; }

// Which results of the graph are the new values of owned buffers, in their order.
std::set<size_t> owned_results(const ExportedProgram& program, const ResultPlaces& results, const Partition& partition) {
  std::set<size_t> owned;
  for (const Value* buffer : partition.owned_buffers)
    if (const std::string* name = program.target_of(buffer)) {
      const std::span<const size_t> places = results.of_buffer(*name);
      owned.insert(places.begin(), places.end());
    }
  return owned;
}

Boundary boundary_of(const ExportedProgram& program, const WholeProgram& whole, const Partition& partition) {
  const std::unordered_set<const Node*> inside = node_set(partition);
  const std::unordered_set<const Value*> own(partition.owned_buffers.begin(), partition.owned_buffers.end());
  const std::set<size_t> own_results = owned_results(program, whole.results(), partition);
  Boundary boundary;
  for (const size_t place : own_results)
    for (Value* value : values_in(program.graph().output_node().arguments()[place].value))
      boundary.states.emplace_back(program.output_specs[place].target, value);
  const auto is_returned = [&](const Value* value) {
    return std::ranges::any_of(whole.results().of(value), [&](size_t place) { return !own_results.contains(place); });
  };
  const auto is_read_outside = [&](const Value* value) {
    return std::ranges::any_of(value->users(), [&](const Node* user) {
      return user == &program.graph().output_node() ? own_results.empty() || is_returned(value) : !inside.contains(user);
    });
  };
  std::unordered_set<const Value*> seen;
  for (const Node* node : partition.nodes) {
    for (Value* input : node->inputs()) {
      if ((input->producer() && inside.contains(input->producer())) || !seen.insert(input).second) continue;
      (whole.is_constant(input) || own.contains(input) ? boundary.constants : boundary.inputs).push_back(input);
    }
    for (Value* output : node->outputs())
      if (is_read_outside(output)) boundary.outputs.push_back(output);
  }
  std::ranges::sort(boundary.constants, {}, [&](const Value* input) { return whole.place_of(input); });
  return boundary;
}

void check_ownership(const ExportedProgram& program, const WholeProgram& whole, const Partition& partition) {
  const std::unordered_set<const Node*> inside = node_set(partition);
  const Boundary boundary = boundary_of(program, whole, partition);
  const bool read_inside = std::ranges::all_of(partition.owned_buffers, [&](const Value* buffer) {
    return std::ranges::all_of(buffer->users(), [&](const Node* user) { return inside.contains(user); });
  });
  const bool written_inside =
      std::ranges::all_of(boundary.states, [&](const auto& state) { return inside.contains(state.second->producer()); });
  if (!read_inside || !written_inside || boundary.states.size() != partition.owned_buffers.size())
    throw_bug(fmt::format("the partition of '{}' owns a buffer that is read or written outside of it", partition.nodes.front()->name()));
  if (boundary.outputs.empty())
    throw_bug(fmt::format("the partition of '{}' has no result that anyone uses", partition.nodes.front()->name()));
}

TreeSpec flat_tuple(size_t leaves) {
  TreeSpec spec{"builtins.tuple", "\"null\"", {}, {}};
  spec.children.resize(leaves);
  return spec;
}

ExportedProgram extract(const ExportedProgram& program, const WholeProgram& whole, const Partition& partition, const Boundary& boundary) {
  ExportedProgram sub;
  std::unordered_map<const Value*, Value*> mapping;
  const auto add = [&](const Value* value, InputSpec spec) {
    spec.value = sub.graph().add_input(sub.graph().inputs().size(), decompose::description(*value));
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
  for (const Node* node : partition.nodes) decompose::copy_node(sub.graph(), nullptr, *node, mapping);
  std::vector<Argument> outputs;
  for (const auto& [target, value] : boundary.states) {
    outputs.push_back(mapping.at(value));
    sub.output_specs.push_back({OutputSpec::Kind::buffer_mutation, target});
  }
  for (const Value* value : boundary.outputs) {
    outputs.push_back(mapping.at(value));
    sub.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  sub.graph().set_outputs(std::move(outputs));
  sub.range_constraints = whole.ranges_of(partition.nodes);
  sub.in_spec = flat_tuple(2);
  sub.in_spec.children[0] = flat_tuple(boundary.inputs.size());
  sub.in_spec.children[1] = {"builtins.dict", "\"[]\"", {}, {}};
  sub.out_spec = flat_tuple(boundary.outputs.size());
  sub.source = program.source;
  sub.weights_file = program.weights_file;
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

}  // namespace

WholeProgram::WholeProgram(const ExportedProgram& program)
    : program_(program), mutated_(mutated_inputs(program)), results_(program), ranges_(program.range_constraints) {
  for (const Value* input : program.graph().inputs()) places_.emplace(input, places_.size());
}

void arrange_partitions(ExportedProgram& program, std::vector<Partition>& partitions) {
  if (partitions.empty()) return;
  reorder(program, partitions);
  std::unordered_map<const Node*, size_t> position;
  for (const Node* node : program.graph().node_list()) position.emplace(node, position.size());
  const WholeProgram whole(program);
  for (Partition& partition : partitions) {
    std::ranges::sort(partition.nodes, {}, [&](const Node* node) { return position.at(node); });
    check_ownership(program, whole, partition);
  }
}

ExportedProgram extract_partition(const ExportedProgram& program, const WholeProgram& whole, const Partition& partition) {
  return extract(program, whole, partition, boundary_of(program, whole, partition));
}

void drop_owned_results(ExportedProgram& program, const std::vector<Partition>& partitions) {
  if (std::ranges::all_of(partitions, [](const Partition& partition) { return partition.owned_buffers.empty(); })) return;
  std::set<size_t> owned;
  {
    const ResultPlaces places(program);
    for (const Partition& partition : partitions) owned.merge(owned_results(program, places, partition));
  }
  const std::vector<Argument> results = program.graph().outputs();
  const std::vector<OutputSpec> specs = std::move(program.output_specs);
  std::vector<Argument> kept;
  program.output_specs.clear();
  for (size_t i = 0; i < results.size(); ++i) {
    if (owned.contains(i)) continue;
    kept.push_back(results[i]);
    program.output_specs.push_back(specs[i]);
  }
  program.graph().set_outputs(std::move(kept));
}

void cut_partition(ExportedProgram& program, const WholeProgram& whole, const Partition& partition, size_t delegate) {
  const Boundary boundary = boundary_of(program, whole, partition);
  Graph& graph = program.graph();
  std::vector<NamedArgument> arguments = {{"delegate", static_cast<int64_t>(delegate), ArgKind::positional}};
  for (Value* input : boundary.inputs) arguments.push_back({"", input, ArgKind::positional});
  std::vector<OutputSpecification> outputs;
  for (const Value* output : boundary.outputs) {
    outputs.push_back(decompose::description(*output));
    outputs.back().name.clear();
  }
  Node& call = graph.insert_before(partition.nodes.front(), Op::get(delegate_call), std::move(arguments), std::move(outputs));
  call.metadata = decompose::inherited_metadata(*partition.nodes.front());
  const std::unordered_set<const Node*> inside = node_set(partition);
  std::vector<std::string> names;
  for (size_t i = 0; i < boundary.outputs.size(); ++i) {
    names.push_back(boundary.outputs[i]->name());
    graph.replace_uses_if(boundary.outputs[i], call.output(i), [&](const Node& user) { return !inside.contains(&user); });
  }
  for (auto node = partition.nodes.rbegin(); node != partition.nodes.rend(); ++node) graph.erase(*node);
  for (size_t i = 0; i < names.size(); ++i) graph.rename(call.output(i), names[i]);
}

}  // namespace intaglio::edge
