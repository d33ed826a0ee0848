#include "edge/branches.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "decompose/rewrite.h"

namespace intaglio {
namespace {

Value* tensor_of(const SymArg& operand) {
  Value* const* value = std::get_if<Value*>(&operand);
  return value && (*value)->is_tensor() ? *value : nullptr;
}

Branch as_program(const ExportedProgram& outer, const Node& node, const Graph& body, const std::vector<SymArg>& operands) {
  if (body.inputs().size() != operands.size())
    throw_bad_input(fmt::format("{}: a branch takes {} values and gets {}", describe(node), body.inputs().size(), operands.size()));
  Branch branch;
  branch.condition = &node;
  ExportedProgram& program = branch.program;
  std::unordered_map<const Value*, Value*> mapping;
  std::unordered_map<const Value*, Value*> constants;  // by the value outside: an operand may be given twice
  for (size_t i = 0; i < operands.size(); ++i) {
    const Value* inner = body.inputs()[i];
    Value* outside = tensor_of(operands[i]);
    if (outside && outer.is_constant(outside)) {
      Value*& constant = constants[outside];
      if (!constant) constant = program.add_constant(*outer.target_of(outside), *outer.constant(outside));
      mapping[inner] = constant;
      continue;
    }
    OutputSpecification input = description(outside ? *outside : *inner);
    input.name = inner->name();
    Value* value = program.graph().add_input(program.graph().inputs().size(), std::move(input));
    program.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    mapping[inner] = value;
    branch.operand_of[value] = i;
  }
  for (const Node* inner : body.node_list()) copy_node(program.graph(), nullptr, *inner, mapping);
  std::vector<Argument> outputs;
  for (const Argument& output : body.outputs()) {
    outputs.push_back(map_values(output, [&](Value* value) { return mapping.at(value); }));
    program.output_specs.push_back({OutputSpec::Kind::user_output, ""});
  }
  program.graph().set_outputs(std::move(outputs));
  program.range_constraints = outer.range_constraints;
  program.source = outer.source;
  return branch;
}

void check(const Node& node, const ExportedProgram& branch) {
  for (const OutputSpec& output : branch.output_specs)
    if (output.kind != OutputSpec::Kind::user_output)
      throw_unsupported(fmt::format("{}: a branch writes to its operand '{}' in place; let it return the new value", describe(node),
                                    escaped(output.target)));
}

// The branch as a closed graph whose inputs are the operands in `used`, then the constants of both branches.
std::unique_ptr<Graph> as_graph(const Branch& branch, const std::vector<size_t>& used, const std::vector<const Value*>& constants,
                                const std::vector<SymArg>& operands) {
  auto graph = std::make_unique<Graph>();
  std::unordered_map<const Value*, Value*> mapping;
  const auto add = [&](OutputSpecification specification) { return graph->add_input(graph->inputs().size(), std::move(specification)); };
  for (const size_t index : used) {
    const Value* own = nullptr;
    for (const auto& [value, operand] : branch.operand_of)
      if (operand == index) own = value;
    if (own) {
      mapping[own] = add(description(*own));
    } else {  // a constant inside, or what only the other branch uses
      const Value* outside = tensor_of(operands[index]);
      OutputSpecification unused = outside ? description(*outside) : OutputSpecification{{}, "", ValueKind::sym_int, {}, ""};
      unused.name = "unused";
      add(std::move(unused));
    }
  }
  for (const Value* constant : constants) {
    OutputSpecification specification = description(*constant);
    mapping[constant] = add(std::move(specification));
  }
  for (const Node* node : branch.program.graph().node_list()) copy_node(*graph, nullptr, *node, mapping);
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

}  // namespace

Condition condition_of(const Node& node) {
  Condition condition;
  size_t branches = 0;
  for (size_t i = 0; i < node.arguments().size(); ++i) {
    const Argument& argument = node.arguments()[i].value;
    if (i == 0) {
      condition.predicate = argument;
    } else if (const auto* subgraph = argument.get_if<std::shared_ptr<Subgraph>>()) {
      if (branches < 2) condition.branches[branches] = (*subgraph)->graph.get();
      ++branches;
    } else {
      append(condition.operands, node, argument);
    }
  }
  if (branches != 2) throw_bad_input(fmt::format("{}: a condition has two branches, this one has {}", describe(node), branches));
  return condition;
}

std::vector<Branch> take_branches(const ExportedProgram& program) {
  std::vector<Branch> branches;
  for (const Node* node : program.graph().node_list()) {
    if (!node->is("higher_order.cond")) continue;
    const Condition condition = condition_of(*node);
    for (const Graph* body : condition.branches) branches.push_back(as_program(program, *node, *body, condition.operands));
  }
  return branches;
}

void put_branches(ExportedProgram& outer, Node& node, const Branch& taken, const Branch& other) {
  const Condition condition = condition_of(node);
  const Branch* branches[] = {&taken, &other};
  for (const Branch* branch : branches) check(node, branch->program);
  std::vector<size_t> used;
  for (size_t i = 0; i < condition.operands.size(); ++i)
    if (std::any_of(std::begin(branches), std::end(branches), [&](const Branch* branch) {
          return std::any_of(branch->operand_of.begin(), branch->operand_of.end(),
                             [&](const auto& entry) { return entry.second == i && !entry.first->users().empty(); });
        }))
      used.push_back(i);
  std::vector<SymArg> operands;
  for (const size_t index : used) operands.push_back(condition.operands[index]);
  std::vector<const Value*> constants;
  for (const Branch* branch : branches)
    for (const InputSpec& spec : branch->program.input_specs)
      if (const Tensor* tensor = branch->program.constant(spec.value)) {
        constants.push_back(spec.value);
        operands.push_back(outer.add_constant(spec.target, *tensor));
      }
  std::vector<NamedArgument> arguments = {{"", condition.predicate, ArgKind::positional}};
  for (size_t i = 0; i < 2; ++i)
    arguments.push_back({"",
                         std::make_shared<Subgraph>(
                             Subgraph{i == 0 ? "true_graph" : "false_graph", as_graph(*branches[i], used, constants, condition.operands)}),
                         ArgKind::positional});
  arguments.push_back({"", std::move(operands), ArgKind::positional});
  outer.graph().set_arguments(node, std::move(arguments));
}

}  // namespace intaglio
