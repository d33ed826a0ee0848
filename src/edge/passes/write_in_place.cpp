#include "edge/passes/write_in_place.h"

#include <algorithm>

#include "pte/kernel_dtypes.h"
#include "pte/kernel_table.h"

namespace intaglio::edge {
namespace {

constexpr std::string_view in_place_op = "aten.index_put_.default";

bool takes_types_of(const Node& node) {
  const pte::RuntimeKernel& kernel = *pte::runtime_kernel_for(in_place_op);
  const auto takes = [&](std::string_view argument, const Value* value) {
    return !value || pte::refused_dtype(kernel, argument, value->dtype()).empty();
  };
  return takes("self", node.tensor("self")) &&
         std::ranges::all_of(node.tensors("indices"), [&](const Value* index) { return takes("indices", index); });
}

// True when the output is the buffer with rows written, and nothing else reads what it was.
bool writes_rows_alone(const ExportedProgram& program, const OutputSpec& spec, const Value& value) {
  const Node* node = value.producer();
  if (spec.kind != OutputSpec::Kind::buffer_mutation || !node || !node->is("aten.index_put.default")) return false;
  const Value* buffer = node->tensor("self");
  const InputSpec* input = program.spec_of(buffer);
  return input && input->kind == InputSpec::Kind::buffer && input->target == spec.target && buffer->has_one_user() && takes_types_of(*node);
}

}  // namespace

void write_in_place(ExportedProgram& program) {
  const std::vector<Argument> outputs = program.graph().outputs();
  const auto value_of = [&](size_t i) {
    Value* const* value = outputs[i].get_if<Value*>();
    return value ? *value : nullptr;
  };
  for (size_t i = 0; i < outputs.size(); ++i) {
    Value* value = value_of(i);
    if (!value || !writes_rows_alone(program, program.output_specs[i], *value)) continue;
    size_t leaves = 0;  // a user's output must not be a buffer's memory
    for (size_t j = 0; j < outputs.size(); ++j) leaves += value_of(j) == value;
    if (leaves == 1) program.graph().set_op(*value->producer(), Op::get(in_place_op));
  }
}

}  // namespace intaglio::edge
