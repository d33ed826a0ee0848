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

States::States(const ExportedProgram& program) : program_(program), results_(program) {
  for (const InputSpec& input : program.input_specs)
    if (input.kind == InputSpec::Kind::buffer) buffers_.emplace(input.target, input.value);
}

std::vector<size_t> States::kept_results(const Partition& partition) const {
  std::vector<size_t> places;
  for (const Node* node : partition.nodes)
    for (const Value* output : node->outputs())
      std::ranges::copy_if(results_.of(output), std::back_inserter(places),
                           [&](size_t place) { return program_.output_specs[place].kind == OutputSpec::Kind::buffer_mutation; });
  std::ranges::sort(places);
  return places;
}

void States::own(Partition& partition) const {
  const std::unordered_set<const Node*> inside(partition.nodes.begin(), partition.nodes.end());
  for (const size_t place : kept_results(partition)) {
    const auto found = buffers_.find(program_.output_specs[place].target);
    if (found == buffers_.end()) continue;
    Value* buffer = found->second;
    const bool is_float = buffer->dtype() == DType::float32 || buffer->dtype() == DType::float16;
    const bool is_read_inside = std::ranges::all_of(buffer->users(), [&](const Node* user) { return inside.contains(user); });
    if (is_float && buffer->meta().rank() > 0 && buffer->meta().is_static() && !buffer->users().empty() && is_read_inside &&
        starts_at_zero(*program_.constant(buffer)))
      partition.owned_buffers.push_back(buffer);
  }
}

}  // namespace intaglio::coreml
