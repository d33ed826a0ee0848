#include "report/slots.h"

#include <cstdint>

#include <fmt/format.h>

namespace intaglio {
namespace {

DType scalar_dtype(ValueKind kind) {
  switch (kind) {
    case ValueKind::sym_float: return DType::float64;
    case ValueKind::sym_bool: return DType::boolean;
    default: return DType::int64;
  }
}

DType scalar_dtype(runtime::ValueKind kind) {
  switch (kind) {
    case runtime::ValueKind::floating: return DType::float64;
    case runtime::ValueKind::boolean: return DType::boolean;
    default: return DType::int64;
  }
}

std::pair<int64_t, int64_t> size_range(const SymInt& size, const SymRanges& ranges) {
  if (size.is_static()) return {size.value(), size.value()};
  const SymRange range = bounds(*size.expression(), ranges);
  return {range.min.value_or(0), range.max.value_or(INT64_MAX)};
}

}  // namespace

std::vector<InputSlot> input_slots(const ExportedProgram& program) {
  std::vector<InputSlot> slots;
  for (const Value* input : program.user_inputs()) {
    if (input->kind() == ValueKind::literal || input->kind() == ValueKind::none) continue;
    InputSlot slot;
    slot.name = input->name();
    slot.scalar = !input->is_tensor();
    slot.dtype = slot.scalar ? scalar_dtype(input->kind()) : input->dtype();
    if (!slot.scalar)
      for (const SymInt& size : input->sizes()) slot.sizes.push_back(size_range(size, program.range_constraints));
    slots.push_back(std::move(slot));
  }
  return slots;
}

std::vector<InputSlot> input_slots(const runtime::MethodInfo& method) {
  std::vector<InputSlot> slots;
  for (size_t i = 0; i < method.inputs.size(); ++i) {
    const runtime::ValueInfo& info = method.inputs[i];
    if (info.kind == runtime::ValueKind::none) continue;
    InputSlot slot;
    slot.name = fmt::format("input_{}", i);
    slot.scalar = info.kind != runtime::ValueKind::tensor;
    slot.dtype = slot.scalar ? scalar_dtype(info.kind) : info.dtype;
    for (const int64_t size : info.sizes) slot.sizes.emplace_back(info.dynamic ? 0 : size, size);
    slots.push_back(std::move(slot));
  }
  return slots;
}

}  // namespace intaglio
