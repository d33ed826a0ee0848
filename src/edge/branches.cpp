#include "edge/branches.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/rewrite.h"
#include "edge/symbol_ranges.h"
#include "ir/check_arguments.h"
#include "ir/mutations.h"

namespace intaglio::edge {
namespace {

Value* tensor_of(const SymArg& operand) {
  Value* const* value = std::get_if<Value*>(&operand);
  return value && (*value)->is_tensor() ? *value : nullptr;
}

// How a body sees an operand: a part of it, or what an iteration made of it, is no constant.
OutputSpecification seen_inside(const Value& inner, Value* outside, bool is_shared) {
  OutputSpecification input = decompose::description(is_shared && outside ? *outside : inner);
  if (!is_shared && inner.is_tensor()) input.meta = TensorMeta::contiguous(inner.dtype(), inner.sizes());
  input.name = inner.name();
  return input;
}

// What is asked of the program around all branches, found once for them.
struct Outside {
  explicit Outside(const ExportedProgram& around) : program(around), mutated(mutated_inputs(around)), ranges(around.range_constraints) {}
  bool is_constant(const Value* value) const { return program.constant(value) != nullptr && !mutated.contains(value); }

  const ExportedProgram& program;
  std::unordered_set<const Value*> mutated;
  SymbolRanges ranges;
};

Branch as_program(const Outside& around, const Node& node, const Graph& body, const ControlFlow& flow) {
  const ExportedProgram& outer = around.program;
  const std::vector<SymArg> operands = flow.operands();
  if (body.inputs().size() != operands.size())
    throw_bad_input(
        fmt::format("{}: what stands inside takes {} values and gets {}", describe(node), body.inputs().size(), operands.size()));
  Branch branch;
  branch.owner = &node;
  ExportedProgram& program = branch.program;
  std::unordered_map<const Value*, Value*> mapping;
  std::unordered_map<const Value*, Value*> constants;  // by the value outside: an operand may be given twice
  for (size_t i = 0; i < operands.size(); ++i) {
    const Value* inner = body.inputs()[i];
    Value* outside = tensor_of(operands[i]);
    const bool is_shared = i >= flow.carried.size() + flow.sliced.size();
    if (is_shared && outside && around.is_constant(outside)) {
      Value*& constant = constants[outside];
      if (!constant) constant = program.add_constant(*outer.target_of(outside), *outer.constant(outside));
      mapping[inner] = constant;
      continue;
    }
    Value* value = program.graph().add_input(program.graph().inputs().size(), seen_inside(*inner, outside, is_shared));
    program.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    mapping[inner] = value;
    branch.operand_of[value] = i;
  }
  for (const Node* inner : body.node_list()) decompose::copy_node(program.graph(), nullptr, *inner, mapping);
  std::vector<Argument> outputs;
  for (const Argument& output : body.outputs()) {
    outputs.push_back(map_values(output, [&](Value* value) { return mapping.at(value); }));
    program.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  program.graph().set_outputs(std::move(outputs));
  program.range_constraints = around.ranges.of(program.graph());
  program.source = outer.source;
  program.weights_file = outer.weights_file;
  return branch;
}

void check(const Node& node, const ExportedProgram& branch) {
  for (const OutputSpec& output : branch.output_specs)
    if (output.kind != OutputSpec::Kind::user_output)
      throw_unsupported(fmt::format("{}: what stands inside writes to its operand '{}' in place; let it return the new value",
                                    describe(node), escaped(output.target)));
}

// The body as a closed graph whose inputs are the operands in `used`, then the constants of all bodies.
std::unique_ptr<Graph> as_graph(const Branch& branch, const std::vector<size_t>& used, const std::vector<const Value*>& constants,
                                const std::vector<SymArg>& operands) {
  auto graph = std::make_unique<Graph>();
  std::unordered_map<const Value*, Value*> mapping;
  const auto add = [&](OutputSpecification specification) { return graph->add_input(graph->inputs().size(), std::move(specification)); };
  std::unordered_map<size_t, const Value*> inside;  // by operand
  for (const auto& [value, operand] : branch.operand_of) inside[operand] = value;
  for (const size_t index : used) {
    if (const auto own = inside.find(index); own != inside.end()) {
      mapping[own->second] = add(decompose::description(*own->second));
    } else {  // a constant inside, or what only another body uses
      const Value* outside = tensor_of(operands[index]);
      OutputSpecification unused = outside ? decompose::description(*outside) : OutputSpecification{{}, "", ValueKind::sym_int, {}, ""};
      unused.name = "unused";
      add(std::move(unused));
    }
  }
  for (const Value* constant : constants) {
    OutputSpecification specification = decompose::description(*constant);
    mapping[constant] = add(std::move(specification));
  }
  for (const Node* node : branch.program.graph().node_list()) decompose::copy_node(*graph, nullptr, *node, mapping);
  std::vector<Argument> outputs;
  for (const Argument& output : branch.program.graph().outputs())
    outputs.push_back(map_values(output, [&](Value* value) { return mapping.at(value); }));
  graph->set_outputs(std::move(outputs));
  return graph;
}

void append(std::vector<SymArg>& operands, const Node& node, const Argument& argument) {
  if (const auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    operands.insert(operands.end(), symbols->begin(), symbols->end());
  } else if (const auto* numbers = argument.get_if<std::vector<int64_t>>()) {
    operands.insert(operands.end(), numbers->begin(), numbers->end());
  } else if (const auto* integer = argument.get_if<int64_t>()) {
    operands.emplace_back(*integer);
  } else if (const auto* real = argument.get_if<double>()) {
    operands.emplace_back(*real);
  } else if (const auto* flag = argument.get_if<bool>()) {
    operands.emplace_back(*flag);
  } else if (argument.is<Value*>() || argument.is<std::vector<Value*>>()) {
    for (Value* value : values_in(argument)) operands.emplace_back(value);
  } else if (!argument.is_none()) {
    throw_unsupported(fmt::format("{}: an operand is neither a tensor nor a number", describe(node)));
  }
}

struct Form {
  std::string_view op;
  ControlFlow::Kind kind;
  std::string_view parts;  // what its arguments are: p(redicate), b(ody), c(arried), s(liced), o(perands)
};
constexpr Form forms[] = {
    {"higher_order.cond", ControlFlow::Kind::cond, "pbbo"},
    {"higher_order.scan", ControlFlow::Kind::scan, "bcso"},
    {"higher_order.map_impl", ControlFlow::Kind::map, "bso"},
    {"higher_order.while_loop", ControlFlow::Kind::while_loop, "bbco"},
};

const Form* form_of(const Node& node) {
  const auto row = std::ranges::find(forms, node.op().name(), &Form::op);
  return row == std::end(forms) ? nullptr : row;
}

// Tensors alone are a list of tensors, as they were written.
Argument list_of(const std::vector<SymArg>& operands) {
  std::vector<Value*> tensors;
  for (const SymArg& operand : operands) {
    Value* const* value = std::get_if<Value*>(&operand);
    if (value == nullptr || !(*value)->is_tensor()) return operands;
    tensors.push_back(*value);
  }
  return tensors;
}

// The arguments of a node of this form.
std::vector<NamedArgument> written(const Form& form, const ControlFlow& flow, std::vector<std::shared_ptr<Subgraph>> bodies) {
  std::vector<NamedArgument> arguments;
  size_t body = 0;
  const auto add = [&](Argument argument) { arguments.push_back({"", std::move(argument), ArgKind::positional}); };
  for (const char part : form.parts) {
    if (part == 'p') add(flow.predicate);
    if (part == 'b') add(bodies[body++]);
    if (part == 'c') add(list_of(flow.carried));
    if (part == 's') add(list_of(flow.sliced));
    if (part == 'o') add(list_of(flow.shared));
  }
  return arguments;
}

void check_outputs(const Node& node, const ControlFlow& flow) {
  const auto fail = [&](std::string_view what) { throw_bad_input(fmt::format("{}: {}", describe(node), what)); };
  if (!flow.is_loop()) return;
  if (flow.kind != ControlFlow::Kind::while_loop && flow.sliced.empty()) fail("a loop over nothing");
  for (const SymArg& sliced : flow.sliced) {
    const Value* tensor = tensor_of(sliced);
    if (!tensor || tensor->meta().rank() == 0) fail("a loop over something else than tensors with dimensions");
    if (tensor->sizes()[0] == SymInt(0)) fail("a loop over a tensor without rows, which PyTorch refuses too");
  }
  const size_t results = node.outputs().size();
  if (flow.bodies.back()->outputs().size() != results || results < flow.carried.size() ||
      (flow.kind == ControlFlow::Kind::while_loop && (results != flow.carried.size() || flow.bodies[0]->outputs().size() != 1)))
    fail("the results of the loop are not those of its body");
  const std::vector<Argument> made = flow.bodies.back()->outputs();
  for (size_t i = 0; i < results; ++i) {
    Value* const* value = made[i].get_if<Value*>();
    const bool is_tensor = value && (*value)->is_tensor();
    if (is_tensor != node.output(i)->is_tensor() || (i >= flow.carried.size() && !is_tensor) ||
        (i < flow.carried.size() && is_tensor != (tensor_of(flow.carried[i]) != nullptr)))
      fail("a result of the loop is no tensor where its body makes one");
  }
}

// What an iteration sees of a tensor, or adds to one.
TensorMeta row_of(const TensorMeta& whole) {
  return TensorMeta::contiguous(whole.dtype, {whole.sizes.begin() + (whole.sizes.empty() ? 0 : 1), whole.sizes.end()});
}

// What a body takes is what it is given, what it makes is what comes out.
void check_flow(const Node& node) {
  const ControlFlow flow = control_flow_of(node);
  const std::vector<SymArg> operands = flow.operands();
  const size_t carried = flow.carried.size(), not_shared = carried + flow.sliced.size();
  const auto compare = [&](const Value* outside, const Value* inside, bool is_row) {
    if (!outside || !inside || !outside->is_tensor() || !inside->is_tensor()) return;
    if (!contradict(is_row ? row_of(outside->meta()) : outside->meta(), inside->meta())) return;
    throw_bad_input(fmt::format("{}: '{}' is {} outside and '{}' is {} in the body; the file is damaged", describe(node),
                                escaped(outside->name()), escaped(to_string(outside->meta())), escaped(inside->name()),
                                escaped(to_string(inside->meta()))));
  };
  for (const Graph* body : flow.bodies) {
    for (size_t i = 0; i < std::min(operands.size(), body->inputs().size()); ++i)
      compare(tensor_of(operands[i]), body->inputs()[i], i >= carried && i < not_shared);
    const std::vector<Argument> made = body->outputs();
    if (flow.kind == ControlFlow::Kind::while_loop && body == flow.bodies.front()) continue;  // its condition
    for (size_t i = 0; i < std::min(made.size(), node.outputs().size()); ++i) {
      Value* const* value = made[i].get_if<Value*>();
      compare(node.output(i), value ? *value : nullptr, flow.is_loop() && i >= carried);
      if (flow.is_loop() && i < carried) compare(node.output(i), tensor_of(flow.carried[i]), false);
    }
  }
}

void check_predicate(const Node& node, const Argument& predicate) {
  Value* const* value = predicate.get_if<Value*>();
  const bool decides = value ? *value && ((*value)->is_tensor() || (*value)->kind() == ValueKind::sym_bool) : predicate.is<bool>();
  if (!decides)
    throw_bad_input(
        fmt::format("{}: what decides is {}, neither a truth value nor a tensor", describe(node), escaped(to_string(predicate), 60)));
}

}  // namespace

void check_control_flow(const Graph& graph) {
  for (const Node* node : graph.node_list())
    if (is_control_flow(*node)) check_flow(*node);
}

std::vector<SymArg> ControlFlow::operands() const {
  std::vector<SymArg> all = carried;
  all.insert(all.end(), sliced.begin(), sliced.end());
  all.insert(all.end(), shared.begin(), shared.end());
  return all;
}

bool is_control_flow(const Node& node) { return form_of(node) != nullptr; }

ControlFlow control_flow_of(const Node& node) {
  const Form* form = form_of(node);
  if (!form) throw_bug(fmt::format("{} is no control flow", describe(node)));
  ControlFlow flow;
  flow.kind = form->kind;
  const std::vector<NamedArgument>& arguments = node.arguments();
  for (size_t i = 0; i < form->parts.size(); ++i) {
    const char part = form->parts[i];
    const Argument argument = i < arguments.size() ? arguments[i].value : Argument();
    const auto* subgraph = argument.get_if<std::shared_ptr<Subgraph>>();
    if ((part == 'b') != (subgraph != nullptr))
      throw_bad_input(fmt::format("{}: argument {} is {}sub-graph", describe(node), i, part == 'b' ? "no " : "a "));
    if (part == 'p') {
      check_predicate(node, argument);
      flow.predicate = argument;
    }
    if (part == 'b') flow.bodies.push_back((*subgraph)->graph.get());
    if (part == 'c') append(flow.carried, node, argument);
    if (part == 's') append(flow.sliced, node, argument);
    if (part == 'o') append(flow.shared, node, argument);
  }
  check_outputs(node, flow);
  return flow;
}

std::vector<Branch> take_branches(const ExportedProgram& program) {
  std::vector<Branch> branches;
  const Outside around(program);
  for (const Node* node : program.graph().node_list()) {
    if (!is_control_flow(*node)) continue;
    const ControlFlow flow = control_flow_of(*node);
    for (const Graph* body : flow.bodies) branches.push_back(as_program(around, *node, *body, flow));
  }
  return branches;
}

void put_branches(ExportedProgram& outer, Node& node, std::span<const Branch* const> bodies) {
  ControlFlow flow = control_flow_of(node);
  for (const Branch* body : bodies) check(node, body->program);
  const std::vector<SymArg> operands = flow.operands();
  const size_t not_shared = flow.carried.size() + flow.sliced.size();
  std::vector<bool> is_used(operands.size());
  for (const Branch* body : bodies)
    for (const auto& [value, operand] : body->operand_of)
      if (!value->users().empty()) is_used[operand] = true;
  std::vector<size_t> used;
  flow.shared.clear();
  for (size_t i = 0; i < operands.size(); ++i) {
    if (i >= not_shared && !is_used[i]) continue;
    used.push_back(i);
    if (i >= not_shared) flow.shared.push_back(operands[i]);
  }
  std::vector<const Value*> constants;
  for (const Branch* body : bodies)
    for (const InputSpec& spec : body->program.input_specs)
      if (const Tensor* tensor = body->program.constant(spec.value)) {
        constants.push_back(spec.value);
        flow.shared.push_back(outer.add_constant(spec.target, *tensor));
      }
  std::vector<std::shared_ptr<Subgraph>> graphs;
  for (const Branch* body : bodies)
    graphs.push_back(
        std::make_shared<Subgraph>(Subgraph{fmt::format("body_graph_{}", graphs.size()), as_graph(*body, used, constants, operands)}));
  outer.graph().set_arguments(node, written(*form_of(node), flow, std::move(graphs)));
}

}  // namespace intaglio::edge
