#include "edge/passes/write_back.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "edge/views.h"

namespace intaglio::edge {
namespace {

struct Mutation {
  Value* target;
  Value* value;
};

bool is_state_mutation(const OutputSpec& spec) {
  return spec.kind == OutputSpec::Kind::buffer_mutation || spec.kind == OutputSpec::Kind::parameter_mutation;
}

Value* target_of_mutation(const ExportedProgram& program, const OutputSpec& output) {
  for (const InputSpec& input : program.input_specs) {
    const bool state =
        input.kind == InputSpec::Kind::parameter || input.kind == InputSpec::Kind::buffer || input.kind == InputSpec::Kind::tensor_constant;
    if (is_state_mutation(output) && state && input.target == output.target) return input.value;
    if (output.kind == OutputSpec::Kind::user_input_mutation && input.value->name() == output.target) return input.value;
  }
  throw_bad_input(fmt::format("the program mutates '{}', which is not among its inputs", escaped(output.target)));
}

// Where the value is the input itself after in-place ops, it is in place already.
bool is_in_place_of(const Value* value, const Value* target) {
  while (value != target) {
    const Node* node = value->producer();
    if (node == nullptr || node->op().schema() == nullptr || !node->op().schema()->is_inplace()) return false;
    const Argument* self = node->find("self");
    Value* const* next = self == nullptr ? nullptr : self->get_if<Value*>();
    if (next == nullptr) return false;
    value = *next;
  }
  return true;
}

Value* clone_at_end(Graph& graph, Value* value) {
  std::vector<int64_t> order;
  for (const uint8_t dim : value->meta().dim_order()) order.push_back(dim);
  Node& clone = graph.insert_before(nullptr, Op::get("dim_order_ops._clone_dim_order.default"),
                                    {{"self", value}, {"dim_order", order, ArgKind::keyword}}, {{value->meta()}});
  return clone.output();
}

}  // namespace

void insert_write_back(ExportedProgram& program, bool inputs_are_shared) {
  Graph& graph = program.graph();
  std::vector<Argument> outputs = graph.outputs();
  std::vector<Mutation> mutations;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& spec = program.output_specs[i];
    const bool of_input = spec.kind == OutputSpec::Kind::user_input_mutation;
    if (!is_state_mutation(spec) && !(of_input && inputs_are_shared)) continue;
    Value* const* value = outputs[i].get_if<Value*>();
    if (value == nullptr) throw_bad_input(fmt::format("the new value of '{}' is not a tensor", escaped(spec.target)));
    Value* target = target_of_mutation(program, spec);
    if (!is_in_place_of(*value, target)) mutations.push_back({target, *value});
  }

  const auto is_overwritten = [&](Value* value) {
    return std::any_of(mutations.begin(), mutations.end(), [&](const Mutation& m) { return m.target == value; });
  };
  for (Mutation& mutation : mutations)
    if (is_overwritten(origin(mutation.value))) mutation.value = clone_at_end(graph, mutation.value);
  for (size_t i = 0; i < outputs.size(); ++i) {
    Value* const* value = outputs[i].get_if<Value*>();
    if (program.output_specs[i].kind != OutputSpec::Kind::user_output || value == nullptr) continue;
    if (is_overwritten(*value)) outputs[i] = clone_at_end(graph, *value);
  }
  for (const Mutation& mutation : mutations)
    graph.insert_before(nullptr, Op::get("aten.copy_.default"), {{"self", mutation.target}, {"src", mutation.value}},
                        {{mutation.target->meta()}});

  std::vector<Argument> kept;
  std::vector<OutputSpec> kept_specs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& spec = program.output_specs[i];
    if (is_state_mutation(spec) || spec.kind == OutputSpec::Kind::user_input_mutation) continue;
    kept.push_back(std::move(outputs[i]));
    kept_specs.push_back(spec);
  }
  graph.set_outputs(std::move(kept));
  program.output_specs = std::move(kept_specs);
}

}  // namespace intaglio::edge
