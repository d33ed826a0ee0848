#include "pte/kernel_table.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pte {
namespace {

constexpr RuntimeKernel kernels[] = {
#define KERNEL(group, since, key, functional, schema) RuntimeKernel{key, functional, schema, KernelGroup::group, RuntimeVersion::since},
#include "pte/kernel_table.inc"
#undef KERNEL
};

struct Index {
  std::unordered_map<std::string_view, const RuntimeKernel*> by_key;
  std::unordered_map<std::string_view, const RuntimeKernel*> by_functional;
  Index() {
    for (const RuntimeKernel& kernel : kernels) {
      by_key.emplace(kernel.key, &kernel);
      if (!kernel.functional.empty()) by_functional.emplace(kernel.functional, &kernel);
    }
  }
};
const Index& index() {
  static const Index instance;
  return instance;
}

const RuntimeKernel* look_up(const std::unordered_map<std::string_view, const RuntimeKernel*>& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

// Operations of Python on symbols whose primitives go by the same name.
constexpr std::string_view symbolic_ops[] = {
    "_operator.add", "_operator.sub", "_operator.mul",  "_operator.floordiv", "_operator.truediv", "_operator.mod",
    "_operator.neg", "_operator.eq",  "_operator.gt",   "_operator.ge",       "_operator.lt",      "_operator.le",
    "math.ceil",     "math.trunc",    "builtins.round", "_operator.round",    "torch.sym_float",   "torch.sym_int",
    "torch.sym_max", "torch.sym_min", "torch.sym_not",  "torch.sym_ite"};

}  // namespace

std::string_view RuntimeKernel::name() const { return key.substr(0, key.find('.')); }
std::string_view RuntimeKernel::overload() const {
  const size_t dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(dot + 1);
}

std::span<const RuntimeKernel> runtime_kernels() { return kernels; }
const RuntimeKernel* find_runtime_kernel(std::string_view key) { return look_up(index().by_key, key); }
const RuntimeKernel* runtime_kernel_for(std::string_view functional_op) { return look_up(index().by_functional, functional_op); }

const OpSchema& schema_of(const RuntimeKernel& kernel) {
  static std::mutex mutex;
  static std::unordered_map<std::string_view, std::unique_ptr<OpSchema>> parsed;
  const std::lock_guard lock(mutex);
  std::unique_ptr<OpSchema>& schema = parsed[kernel.key];
  if (!schema) {
    if (kernel.schema_text.empty()) throw_bug("kernel " + std::string(kernel.key) + " has no schema");
    schema = std::make_unique<OpSchema>(parse_schema(kernel.schema_text));
  }
  return *schema;
}

bool is_out(const ArgSchema& argument) { return argument.mutated && argument.keyword_only; }

std::span<const ArgSchema> inputs_of(const RuntimeKernel& kernel) {
  const std::vector<ArgSchema>& arguments = schema_of(kernel).arguments;
  return {arguments.begin(), std::find_if(arguments.begin(), arguments.end(), is_out)};
}

std::span<const ArgSchema> outs_of(const RuntimeKernel& kernel) {
  if (kernel.schema_text.empty()) return {};
  return std::span(schema_of(kernel).arguments).subspan(inputs_of(kernel).size());
}

std::string_view primitive_for_symbolic_op(std::string_view target) {
  if (std::ranges::find(symbolic_ops, target) == std::end(symbolic_ops)) return {};
  const RuntimeKernel* primitive = find_runtime_kernel(fmt::format("executorch_prim::{}.Scalar", target.substr(target.rfind('.') + 1)));
  return primitive == nullptr ? std::string_view() : primitive->key;
}

}  // namespace intaglio::pte
