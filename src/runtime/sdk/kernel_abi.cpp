#include "runtime/sdk/kernel_abi.h"

#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <deque>
#include <vector>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

namespace et = executorch::runtime;
using executorch::aten::ArrayRef;
using executorch::aten::Tensor;
using executorch::aten::TensorImpl;

constexpr uint32_t gave_up = 0xffff;

// While a kernel runs on this thread: where its failed checks lead, and what it says.
struct Guard {
  std::jmp_buf escape;
  char* message;
  size_t capacity;
  size_t used;
};
thread_local Guard* active_guard = nullptr;

// ExecuTorch ends the process when a check fails. Kernels run on the calling thread alone (no pool), so leaving them by
// a jump costs no more than the memory they held.
[[noreturn]] void leave_kernel() {
  if (active_guard) std::longjmp(active_guard->escape, 1);
  std::abort();
}

void keep_message(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t, const char* message, size_t length) {
  Guard* guard = active_guard;
  if (!guard || (level != kError && level != kFatal)) return;
  if (guard->used > 0 && guard->used + 2 < guard->capacity) {
    guard->message[guard->used++] = ';';
    guard->message[guard->used++] = ' ';
  }
  const size_t taken = std::min(length, guard->capacity - guard->used - 1);
  std::copy_n(message, taken, guard->message + guard->used);
  guard->used += taken;
  guard->message[guard->used] = '\0';
}

bool prepare_runtime() {
  et::PalImpl hooks{};
  hooks.abort = leave_kernel;
  hooks.emit_log_message = keep_message;
  hooks.source_filename = __FILE__;
  const bool registered = et::register_pal(hooks);
  et::runtime_init();
  return registered;
}

// Owns what EValues only point to.
class Arguments {
 public:
  et::EValue* add(const IntaglioValue& value) {
    values_.emplace_back(make(value));
    return &values_.back();
  }
  // Several outs are returned as one list of them.
  et::EValue* add_list(const std::vector<et::EValue*>& members) {
    values_.emplace_back(tensor_list(members));
    return &values_.back();
  }

 private:
  et::EValue make(const IntaglioValue& value) {
    switch (value.tag) {
      case tag_none: return {};
      case tag_tensor: return et::EValue(tensor(*static_cast<const IntaglioTensor*>(value.items)));
      case tag_int: return et::EValue(value.integer);
      case tag_double: return et::EValue(value.number);
      case tag_bool: return et::EValue(value.integer != 0);
      case tag_string: return et::EValue(&texts_.emplace_back(static_cast<const char*>(value.items), value.count));
      case tag_int_list: return int_list(static_cast<const int64_t*>(value.items), value.count);
      case tag_double_list: return et::EValue(&doubles_.emplace_back(static_cast<const double*>(value.items), value.count));
      case tag_bool_list: return et::EValue(&bools_.emplace_back(static_cast<const bool*>(value.items), value.count));
      case tag_tensor_list: return tensor_list(members_of(value));
      case tag_optional_tensors: return optional_tensors(members_of(value));
    }
    return {};
  }

  Tensor tensor(const IntaglioTensor& source) {
    return Tensor(&impls_.emplace_back(static_cast<executorch::aten::ScalarType>(source.scalar_type), source.rank, source.sizes,
                                       source.data, source.dim_order, source.strides, et::TensorShapeDynamism::DYNAMIC_BOUND));
  }

  std::vector<et::EValue*> members_of(const IntaglioValue& value) {
    std::vector<et::EValue*> members;
    for (size_t i = 0; i < value.count; ++i) {
      const auto& source = static_cast<const IntaglioTensor*>(value.items)[i];
      members.push_back(&(source.rank < 0 ? values_.emplace_back() : values_.emplace_back(tensor(source))));
    }
    return members;
  }

  et::EValue int_list(const int64_t* items, size_t count) {
    auto& members = pointers_.emplace_back();
    for (size_t i = 0; i < count; ++i) members.push_back(&values_.emplace_back(items[i]));
    members.push_back(nullptr);  // an empty list still needs an address
    auto& room = integers_.emplace_back(count + 1);
    return et::EValue(&int_lists_.emplace_back(members.data(), room.data(), static_cast<int>(count)));
  }

  et::EValue tensor_list(const std::vector<et::EValue*>& source) {
    auto& members = pointers_.emplace_back(source);
    members.push_back(nullptr);
    auto* room = static_cast<Tensor*>(memory_.allocate(sizeof(Tensor) * (source.size() + 1), alignof(Tensor)));
    for (size_t i = 0; i <= source.size(); ++i) new (room + i) Tensor(nullptr);
    return et::EValue(&tensor_lists_.emplace_back(members.data(), room, static_cast<int>(source.size())));
  }

  et::EValue optional_tensors(const std::vector<et::EValue*>& source) {
    auto& members = pointers_.emplace_back(source);
    members.push_back(nullptr);
    using Item = std::optional<Tensor>;
    auto* room = static_cast<Item*>(memory_.allocate(sizeof(Item) * (source.size() + 1), alignof(Item)));
    for (size_t i = 0; i <= source.size(); ++i) new (room + i) Item();
    return et::EValue(&optional_lists_.emplace_back(members.data(), room, static_cast<int>(source.size())));
  }

  executorch::extension::MallocMemoryAllocator memory_;
  std::deque<TensorImpl> impls_;
  std::deque<ArrayRef<char>> texts_;
  std::deque<ArrayRef<double>> doubles_;
  std::deque<ArrayRef<bool>> bools_;
  std::deque<std::vector<et::EValue*>> pointers_;
  std::deque<std::vector<int64_t>> integers_;
  std::deque<et::BoxedEvalueList<int64_t>> int_lists_;
  std::deque<et::BoxedEvalueList<Tensor>> tensor_lists_;
  std::deque<et::BoxedEvalueList<std::optional<Tensor>>> optional_lists_;
  std::deque<et::EValue> values_;
};

// Owns nothing that a jump would skip.
bool run_guarded(Guard& guard, et::OpFunction function, et::KernelRuntimeContext& context, et::Span<et::EValue*> arguments) {
  Guard* const outer = active_guard;
  active_guard = &guard;
  const bool finished = setjmp(guard.escape) == 0;
  if (finished) function(context, arguments);
  active_guard = outer;
  return finished;
}

}  // namespace

EXPORTED int intaglio_abi() {
  static const bool prepared = prepare_runtime();
  return prepared ? kernel_abi_version : 0;
}

EXPORTED size_t intaglio_kernel_names(const char** names, size_t capacity) {
  const auto kernels = et::get_registered_kernels();
  for (size_t i = 0; i < std::min(capacity, kernels.size()); ++i) names[i] = kernels[i].name_;
  return kernels.size();
}

EXPORTED int intaglio_has_kernel(const char* name) { return et::registry_has_op_function(name) ? 1 : 0; }

EXPORTED uint32_t intaglio_call_kernel(const char* name, IntaglioValue* values, size_t count, size_t outs, char* message, size_t capacity) {
  message[0] = '\0';
  const auto function = et::get_op_function_from_registry(name);
  if (!function.ok()) return static_cast<uint32_t>(function.error());
  Arguments owned;
  std::vector<et::EValue*> arguments;
  for (size_t i = 0; i < count; ++i) arguments.push_back(owned.add(values[i]));
  if (outs == 1) arguments.push_back(arguments.back());
  else arguments.push_back(owned.add_list({arguments.end() - static_cast<ptrdiff_t>(outs), arguments.end()}));

  executorch::extension::MallocMemoryAllocator temporary;
  et::KernelRuntimeContext context(nullptr, &temporary);
  executorch::extension::threadpool::NoThreadPoolGuard on_this_thread;
  Guard guard;
  guard.message = message;
  guard.capacity = capacity;
  guard.used = 0;
  if (!run_guarded(guard, *function, context, {arguments.data(), arguments.size()})) return gave_up;
  return static_cast<uint32_t>(context.failure_state());
}
