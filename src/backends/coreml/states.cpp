#include "backends/coreml/states.h"

#include <algorithm>
#include <span>
#include <unordered_set>

namespace intaglio::coreml {

namespace {
// As every state of a model does.
bool starts_at_zero(const Tensor& tensor) {
  const Tensor whole = tensor.for_one_use().contiguous();
  return std::ranges::all_of(std::span(static_cast<const std::byte*>(whole.raw()), whole.nbytes()),
                             [](std::byte byte) { return byte == std::byte{0}; });
}
}  // namespace

void own_states(const ExportedProgram& program, Partition& partition) {
  const std::unordered_set<const Node*> inside(partition.nodes.begin(), partition.nodes.end());
  const std::vector<Argument> outputs = program.graph().outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& change = program.output_specs[i];
    Value* const* made = outputs[i].get_if<Value*>();
    if (change.kind != OutputSpec::Kind::buffer_mutation || !made || !inside.contains((*made)->producer())) continue;
    const auto spec = std::ranges::find_if(program.input_specs, [&](const InputSpec& input) {
      return input.kind == InputSpec::Kind::buffer && input.target == change.target;
    });
    if (spec == program.input_specs.end()) continue;
    Value* buffer = spec->value;
    const bool is_float = buffer->dtype() == DType::float32 || buffer->dtype() == DType::float16;
    const bool is_read_inside = std::ranges::all_of(buffer->users(), [&](const Node* user) { return inside.contains(user); });
    if (is_float && buffer->meta().rank() > 0 && buffer->meta().is_static() && !buffer->users().empty() && is_read_inside &&
        starts_at_zero(*program.constant(buffer)))
      partition.owned_buffers.push_back(buffer);
  }
}

}  // namespace intaglio::coreml
