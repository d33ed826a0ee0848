#include "pte/summary.h"

namespace intaglio::pte {
namespace {

PteTensor describe_tensor(const TensorValue& tensor) {
  PteTensor result;
  result.kind = "tensor";
  result.dtype = scalar_type_text(tensor.scalar_type);
  result.sizes.assign(tensor.sizes.begin(), tensor.sizes.end());
  result.dim_order = tensor.dim_order;
  result.dynamic = tensor.shape_dynamism != ShapeDynamism::fixed;
  result.planned = tensor.allocation.has_value();
  return result;
}

PteTensor describe_value(const EValue& value) {
  if (const auto* tensor = std::get_if<TensorValue>(&value)) return describe_tensor(*tensor);
  static constexpr const char* kinds[] = {"none", "int", "bool", "float", "tensor", "string", "list", "list", "list", "list", "list"};
  PteTensor result;
  result.kind = kinds[value.index()];
  return result;
}

void count_calls(const ExecutionPlan& plan, PteMethod& method) {
  std::vector<size_t> operator_calls(plan.operators.size());
  for (const auto& chain : plan.chains) {
    method.instructions += chain.size();
    for (const Instruction& instruction : chain) {
      if (const auto* kernel = std::get_if<KernelCall>(&instruction)) ++operator_calls[kernel->op_index];
      if (const auto* call = std::get_if<DelegateCall>(&instruction)) ++method.delegates[call->delegate_index].calls;
    }
  }
  for (size_t i = 0; i < plan.operators.size(); ++i) method.operators.emplace_back(plan.operators[i].key(), operator_calls[i]);
}

PteMethod describe_method(const Program& program, const ExecutionPlan& plan) {
  PteMethod method;
  method.name = plan.name;
  method.values = plan.values.size();
  for (const int32_t input : plan.inputs) method.inputs.push_back(describe_value(plan.values[input]));
  for (const int32_t output : plan.outputs) method.outputs.push_back(describe_value(plan.values[output]));
  for (const BackendDelegate& delegate : plan.delegates) {
    PteDelegate entry;
    entry.id = delegate.id;
    entry.payload_size = delegate.in_segment ? program.segments[delegate.index].size : program.backend_delegate_data[delegate.index].size;
    for (const CompileSpecEntry& spec : delegate.compile_specs) entry.compile_specs.emplace_back(spec.key, spec.value.size());
    method.delegates.push_back(std::move(entry));
  }
  for (size_t i = 1; i < plan.non_const_buffer_sizes.size(); ++i)
    method.planned_memory.push_back(static_cast<uint64_t>(plan.non_const_buffer_sizes[i]));
  count_calls(plan, method);
  return method;
}

}  // namespace

PteSummary summarize(const ParsedProgram& parsed) {
  const Program& program = parsed.program;

  PteSummary summary;
  summary.file_size = parsed.file_size;
  summary.program_size = parsed.layout.program_size;
  summary.segment_bytes = parsed.layout.segment_data_size;
  if (program.constant_segment && !program.constant_segment->offsets.empty() && !program.segments.empty()) {
    summary.constant_bytes = program.segments[program.constant_segment->segment_index].size;
    summary.constants = program.constant_segment->offsets.size() - 1;
  }
  for (const InlineData& constant : program.constant_buffer) summary.constant_bytes += constant.size;
  if (!program.constant_buffer.empty()) summary.constants = program.constant_buffer.size() - 1;
  for (const SubsegmentOffsets& state : program.mutable_data_segments)
    summary.mutable_state_bytes += program.segments[state.segment_index].size;
  for (const ExecutionPlan& plan : program.execution_plan) summary.methods.push_back(describe_method(program, plan));
  for (const NamedData& named : program.named_data) summary.named_data.emplace_back(named.key, program.segments[named.segment_index].size);
  return summary;
}

}  // namespace intaglio::pte
