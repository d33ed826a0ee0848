#include "edge/passes/passes.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

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

// What mutations name: states by their targets, user inputs by their values' names.
class MutationTargets {
 public:
  explicit MutationTargets(const ExportedProgram& program) {
    for (const InputSpec& input : program.input_specs) {
      const bool state = input.kind == InputSpec::Kind::parameter || input.kind == InputSpec::Kind::buffer ||
                         input.kind == InputSpec::Kind::tensor_constant;
      if (state) states_.emplace(input.target, input.value);
      inputs_.emplace(input.value->name(), input.value);
    }
  }

  Value* of(const OutputSpec& output) const {
    const auto& named = is_state_mutation(output) ? states_ : inputs_;
    const auto found = named.find(output.target);
    if (found != named.end()) return found->second;
    throw_bad_input(fmt::format("the program mutates '{}', which is not among its inputs", escaped(output.target)));
  }

 private:
  std::unordered_map<std::string_view, Value*> states_, inputs_;
};

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
  std::unordered_set<const Value*> overwritten;
  const MutationTargets targets(program);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& spec = program.output_specs[i];
    const bool of_input = spec.kind == OutputSpec::Kind::user_input_mutation;
    if (!is_state_mutation(spec) && !(of_input && inputs_are_shared)) continue;
    Value* const* value = outputs[i].get_if<Value*>();
    if (value == nullptr) throw_bad_input(fmt::format("the new value of '{}' is not a tensor", escaped(spec.target)));
    Value* target = targets.of(spec);
    if (is_in_place_of(*value, target)) continue;
    mutations.push_back({target, *value});
    overwritten.insert(target);
  }

  Origins origins;
  for (Mutation& mutation : mutations)
    if (overwritten.contains(origins.of(mutation.value))) mutation.value = clone_at_end(graph, mutation.value);
  for (size_t i = 0; i < outputs.size(); ++i) {
    Value* const* value = outputs[i].get_if<Value*>();
    if (program.output_specs[i].kind != OutputSpec::Kind::user_output || value == nullptr) continue;
    if (overwritten.contains(*value)) outputs[i] = clone_at_end(graph, *value);
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
