// Bodies of conditions and loops: complex numbers go in and out as pairs, and what is inside is lowered as a program of its own.
#include <unordered_map>

#include "decompose/complex/parts.h"
#include "decompose/decompose.h"
#include "decompose/rewrite.h"

namespace intaglio::decompose::complex_parts {
namespace {

TensorMeta pairs_like(const Value& z) {
  SymSizes sizes = z.sizes();
  sizes.emplace_back(2);
  return TensorMeta::contiguous(real_type_of(z.dtype()), std::move(sizes));
}

ExportedProgram as_program(const ExportedProgram& outer, const Graph& body) {
  ExportedProgram program;
  program.range_constraints = outer.range_constraints;
  program.source = outer.source;
  program.weights_file = outer.weights_file;
  Graph& graph = program.graph();
  std::unordered_map<const Value*, Value*> mapping;
  for (const Value* input : body.inputs()) {
    OutputSpecification given = description(*input);
    if (is_complex_tensor(input)) given.meta = pairs_like(*input);
    mapping[input] = graph.add_input(graph.inputs().size(), std::move(given));
    program.input_specs.push_back({InputSpec::Kind::user_input, mapping[input], "", true});
  }
  for (const Value* input : body.inputs())
    if (is_complex_tensor(input))
      mapping[input] = graph
                           .insert_before(nullptr, Op::get("aten.view_as_complex.default"), {{"self", mapping[input]}},
                                          {{TensorMeta::contiguous(input->dtype(), input->sizes())}})
                           .output();
  for (const Node* node : body.node_list()) copy_node(graph, nullptr, *node, mapping);
  std::vector<Argument> outputs;
  for (const Argument& output : body.outputs()) {
    Argument made = map_values(output, [&](Value* value) { return mapping.at(value); });
    if (Value* const* value = made.get_if<Value*>(); value && is_complex_tensor(*value))
      made = graph.insert_before(nullptr, Op::get("aten.view_as_real.default"), {{"self", *value}}, {{pairs_like(**value)}}).output();
    outputs.push_back(std::move(made));
    program.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  graph.set_outputs(std::move(outputs));
  return program;
}

// The operands as they were, then the constants of all bodies of the node.
std::unique_ptr<Graph> as_body(const ExportedProgram& program, const std::vector<const Value*>& constants) {
  auto body = std::make_unique<Graph>();
  std::unordered_map<const Value*, Value*> mapping;
  const auto add = [&](const Value* value) { mapping[value] = body->add_input(body->inputs().size(), description(*value)); };
  for (const InputSpec& spec : program.input_specs)
    if (spec.kind == InputSpec::Kind::user_input) add(spec.value);
  for (const Value* constant : constants) add(constant);
  for (const Node* node : program.graph().node_list()) copy_node(*body, nullptr, *node, mapping);
  std::vector<Argument> outputs;
  for (const Argument& output : program.graph().outputs())
    outputs.push_back(map_values(output, [&](Value* value) { return mapping.at(value); }));
  body->set_outputs(std::move(outputs));
  return body;
}

void append(Argument& list, const std::vector<Value*>& more) {
  if (auto* values = list.get_if<std::vector<Value*>>()) {
    values->insert(values->end(), more.begin(), more.end());
    return;
  }
  std::vector<SymArg> items;
  if (const auto* symbols = list.get_if<std::vector<SymArg>>()) items = *symbols;
  if (const auto* numbers = list.get_if<std::vector<int64_t>>()) items.assign(numbers->begin(), numbers->end());
  items.insert(items.end(), more.begin(), more.end());
  list = std::move(items);
}

}  // namespace

Results with_lowered_bodies(PartsBuilder& b) {
  ExportedProgram& outer = b.build.program();
  std::vector<NamedArgument> arguments = b.node.arguments();
  std::vector<ExportedProgram> bodies;
  for (NamedArgument& argument : arguments) {
    if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) {
      bodies.push_back(as_program(outer, *(*subgraph)->graph));
      lower_complex(bodies.back());
    } else {
      argument.value =
          map_values(argument.value, [&](Value* value) { return is_complex_tensor(value) ? b.packed(b.parts(value)) : value; });
    }
  }
  std::vector<const Value*> constants;
  std::vector<Value*> outside;
  for (const ExportedProgram& body : bodies)
    for (const InputSpec& spec : body.input_specs)
      if (const Tensor* tensor = body.constant(spec.value)) {
        constants.push_back(spec.value);
        outside.push_back(outer.add_constant(spec.target, *tensor));
      }
  size_t next = 0;
  for (NamedArgument& argument : arguments)
    if (auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>())
      *subgraph = std::make_shared<Subgraph>(Subgraph{(*subgraph)->name, as_body(bodies[next++], constants)});
  if (!outside.empty()) append(arguments.back().value, outside);

  std::vector<OutputSpecification> outputs;
  for (const Value* output : b.node.outputs()) {
    outputs.push_back(description(*output));
    outputs.back().name.clear();
    if (is_complex_tensor(output)) outputs.back().meta = pairs_like(*output);
  }
  Node& created = b.build.graph().insert_before(const_cast<Node*>(&b.node), b.node.op(), std::move(arguments), std::move(outputs), "",
                                                b.node.output_groups());
  created.metadata = b.node.metadata;
  Results results;
  for (size_t i = 0; i < created.outputs().size(); ++i)
    results.push_back(is_complex_tensor(b.node.output(i)) ? Parts::pair(created.output(i)) : Parts{created.output(i), nullptr});
  return results;
}

}  // namespace intaglio::decompose::complex_parts
