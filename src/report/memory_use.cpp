#include "report/memory_use.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "edge/emit/tensor_values.h"

namespace intaglio::report {
namespace {

using namespace pte;

constexpr size_t never = std::numeric_limits<size_t>::max();

// Tensors at one place whose times overlap are names of one piece of memory (views).
std::vector<PlannedTensor> merged(std::vector<PlannedTensor> tensors) {
  std::ranges::sort(tensors, {}, [](const PlannedTensor& t) { return std::tuple(t.arena, t.offset, t.first, t.last); });
  std::vector<PlannedTensor> result;
  for (const PlannedTensor& tensor : tensors) {
    PlannedTensor* before = result.empty() ? nullptr : &result.back();
    if (before && before->arena == tensor.arena && before->offset == tensor.offset && tensor.first <= before->last) {
      before->last = std::max(before->last, tensor.last);
      before->bytes = std::max(before->bytes, tensor.bytes);
    } else {
      result.push_back(tensor);
    }
  }
  return result;
}

void find_peak(const std::vector<PlannedTensor>& tensors, size_t instructions, Arena& arena) {
  std::vector<int64_t> change(instructions + 1, 0);
  for (const PlannedTensor& tensor : merged(tensors)) {
    if (tensor.arena != arena.id) continue;
    change[tensor.first] += static_cast<int64_t>(tensor.bytes);
    change[tensor.last + 1] -= static_cast<int64_t>(tensor.bytes);
  }
  int64_t live = 0;
  for (size_t i = 0; i < instructions; ++i) {
    live += change[i];
    if (static_cast<uint64_t>(live) <= arena.peak_bytes) continue;
    arena.peak_bytes = static_cast<uint64_t>(live);
    arena.peak_instruction = i;
  }
}

}  // namespace

void add_memory_use(const ExecutionPlan& plan, const std::vector<std::vector<int32_t>>& mentions, MethodContents& method) {
  const size_t last = mentions.empty() ? 0 : mentions.size() - 1;
  std::vector<PlannedTensor> by_value(plan.values.size());
  for (PlannedTensor& tensor : by_value) tensor.first = never;
  for (size_t i = 0; i < mentions.size(); ++i)
    for (const int32_t value : mentions[i]) {
      PlannedTensor& tensor = by_value[static_cast<size_t>(value)];
      tensor.first = std::min(tensor.first, i);
      tensor.last = i;
    }
  const auto lives = [&](int32_t value, const char* role, bool from_start) {
    PlannedTensor& tensor = by_value[static_cast<size_t>(value)];
    tensor.role = role;
    if (from_start) tensor.first = 0;
    else tensor.last = last;
    if (tensor.first == never) tensor.first = last;
  };
  for (const int32_t input : plan.inputs) lives(input, "input", true);
  for (const int32_t output : plan.outputs) lives(output, "output", false);

  for (size_t i = 1; i < plan.non_const_buffer_sizes.size(); ++i)
    method.arenas.push_back({i, static_cast<uint64_t>(plan.non_const_buffer_sizes[i]), 0, 0, 0});
  for (size_t value = 0; value < by_value.size(); ++value) {
    const auto* planned = std::get_if<TensorValue>(&plan.values[value]);
    PlannedTensor& tensor = by_value[value];
    if (planned == nullptr || !planned->allocation || tensor.first == never) continue;
    const bool is_state = planned->data_buffer_idx > 0;
    if (is_state) std::tie(tensor.first, tensor.last) = std::pair(size_t{0}, last);
    tensor.value = value;
    if (is_state) tensor.role = "state";
    else if (tensor.role.empty()) tensor.role = "temporary";
    tensor.dtype = scalar_type_text(planned->scalar_type);
    tensor.sizes.assign(planned->sizes.begin(), planned->sizes.end());
    tensor.arena = planned->allocation->memory_id;
    tensor.offset = planned->allocation->offset;
    tensor.bytes = edge::planned_bytes(*planned);
    ++method.arenas[tensor.arena - 1].tensors;
    method.tensors.push_back(std::move(tensor));
  }
  for (Arena& arena : method.arenas) find_peak(method.tensors, last + 1, arena);
  std::ranges::stable_sort(method.tensors, std::greater(), &PlannedTensor::bytes);
}

}  // namespace intaglio::report
