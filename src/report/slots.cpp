#include "report/slots.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio::report {
namespace {

DType scalar_dtype(runtime::ValueKind kind) {
  switch (kind) {
    case runtime::ValueKind::floating: return DType::float64;
    case runtime::ValueKind::boolean: return DType::boolean;
    default: return DType::int64;
  }
}

}  // namespace

std::vector<InputSlot> input_slots(const runtime::MethodInfo& method) {
  std::vector<InputSlot> slots;
  for (size_t i = 0; i < method.inputs.size(); ++i) {
    const runtime::ValueInfo& info = method.inputs[i];
    if (info.kind == runtime::ValueKind::none || info.kind == runtime::ValueKind::string) continue;
    InputSlot slot;
    slot.name = fmt::format("input_{}", i);
    slot.scalar = info.kind != runtime::ValueKind::tensor;
    slot.dtype = slot.scalar ? scalar_dtype(info.kind) : info.dtype;
    for (const int64_t size : info.sizes) slot.sizes.emplace_back(info.dynamic ? 0 : size, size);
    slots.push_back(std::move(slot));
  }
  return slots;
}

std::string text_of(const InputSlot& slot) {
  std::vector<std::string> sizes;
  for (const auto& [least, most] : slot.sizes) sizes.push_back(least == most ? std::to_string(most) : fmt::format("<={}", most));
  return fmt::format("'{}' ({} [{}])", escaped(slot.name), name(slot.dtype), fmt::join(sizes, ", "));
}

}  // namespace intaglio::report
