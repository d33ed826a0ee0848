#include "ir/mutations.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "ir/visit_values.h"

namespace intaglio {
namespace {

// Values that in-place operators write to, by whatever name: readers come after what they read, so one pass from the end
// finds them all.
std::unordered_set<const Value*> written_in_place(const Graph& graph) {
  std::unordered_set<const Value*> written;
  if (!graph.has_in_place_nodes()) return written;
  const std::vector<Node*> nodes = graph.node_list();
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const OpSchema* schema = (*node)->op().schema();
    if (schema == nullptr) continue;
    const bool result_is_written = std::ranges::any_of((*node)->outputs(), [&](const Value* output) { return written.contains(output); });
    for (const NamedArgument& argument : (*node)->arguments()) {
      const ArgSchema* formal = schema->find(argument.name);
      if (formal != nullptr && (formal->mutated || (formal->aliased && result_is_written)))
        visit_values(argument.value, [&](const Value* value) { written.insert(value); });
    }
  }
  return written;
}

}  // namespace

std::unordered_set<const Value*> mutated_inputs(const ExportedProgram& program) {
  std::unordered_set<std::string_view> states, user_inputs;
  for (const OutputSpec& output : program.output_specs) {
    if (output.kind == OutputSpec::Kind::buffer_mutation || output.kind == OutputSpec::Kind::parameter_mutation)
      states.insert(output.target);
    if (output.kind == OutputSpec::Kind::user_input_mutation) user_inputs.insert(output.target);
  }
  const std::unordered_set<const Value*> written = written_in_place(program.graph());
  std::unordered_set<const Value*> mutated;
  for (const InputSpec& spec : program.input_specs) {
    const bool is_state =
        spec.kind == InputSpec::Kind::parameter || spec.kind == InputSpec::Kind::buffer || spec.kind == InputSpec::Kind::tensor_constant;
    if ((is_state && states.contains(spec.target)) || user_inputs.contains(spec.value->name()) || written.contains(spec.value))
      mutated.insert(spec.value);
  }
  return mutated;
}

const Tensor* LastingConstants::find(const Value* value) const {
  const Tensor* tensor = program_.constant(value);
  return tensor != nullptr && !is_mutated(value) ? tensor : nullptr;
}

// One answer costs less than all of them, many do not.
bool LastingConstants::is_mutated(const Value* input) const {
  constexpr size_t few = 16;
  return mutated_ == nullptr && ++asked_ <= few ? program_.is_mutated(input) : mutated()->contains(input);
}

const LastingConstants::Inputs& LastingConstants::mutated() const {
  if (!mutated_) mutated_ = std::make_shared<const std::unordered_set<const Value*>>(mutated_inputs(program_));
  return mutated_;
}

}  // namespace intaglio
