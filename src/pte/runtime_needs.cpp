#include "pte/runtime_needs.h"

#include <algorithm>

#include <fmt/format.h>

#include "pte/kernel_dtypes.h"
#include "pte/kernel_table.h"
#include "pte/scalar_type.h"

namespace intaglio::pte {
namespace {

std::optional<DType> dtype_of(const ExecutionPlan& plan, int32_t index) {
  if (index < 0) return std::nullopt;
  const EValue& value = plan.values[static_cast<size_t>(index)];
  if (const auto* tensor = std::get_if<TensorValue>(&value)) return dtype_of_scalar_type(tensor->scalar_type);
  // The members of a list have one type.
  if (const auto* list = std::get_if<TensorList>(&value); list && !list->items.empty()) return dtype_of(plan, list->items.front());
  return std::nullopt;
}

void add_call(const ExecutionPlan& plan, const KernelCall& call, RuntimeNeeds& needs) {
  const RuntimeKernel* kernel = find_runtime_kernel(plan.operators[static_cast<size_t>(call.op_index)].key());
  if (kernel == nullptr) return;
  needs.add({kernel->since, std::string(kernel->key)});
  if (kernel->schema_text.empty()) return;
  const std::vector<ArgSchema>& arguments = schema_of(*kernel).arguments;
  const size_t first_out = inputs_of(*kernel).size();
  for (size_t i = 0; i < std::min({arguments.size(), call.args.size(), first_out + 1}); ++i) {
    const std::optional<DType> dtype = dtype_of(plan, call.args[i]);
    if (!dtype) continue;
    const RuntimeVersion since = taken_since(*kernel, i == first_out ? result_argument : std::string_view(arguments[i].name), *dtype);
    if (since > kernel->since) needs.add({since, fmt::format("{} of {}", kernel->key, name(*dtype))});
  }
}

}  // namespace

RuntimeNeeds runtime_needs(const Program& program) {
  RuntimeNeeds needs;
  for (const ExecutionPlan& plan : program.execution_plan)
    for (const auto& chain : plan.chains)
      for (const Instruction& instruction : chain)
        if (const auto* call = std::get_if<KernelCall>(&instruction)) add_call(plan, *call, needs);
  return needs;
}

}  // namespace intaglio::pte
