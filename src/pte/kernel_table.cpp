#include "pte/kernel_table.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>

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

struct SymbolicRow {
  std::string_view target;
  std::string_view key;
};
constexpr SymbolicRow symbolic_ops[] = {
    {"_operator.add", "executorch_prim::add.Scalar"},
    {"_operator.sub", "executorch_prim::sub.Scalar"},
    {"_operator.mul", "executorch_prim::mul.Scalar"},
    {"_operator.floordiv", "executorch_prim::floordiv.Scalar"},
    {"_operator.truediv", "executorch_prim::truediv.Scalar"},
    {"_operator.mod", "executorch_prim::mod.Scalar"},
    {"_operator.neg", "executorch_prim::neg.Scalar"},
    {"_operator.eq", "executorch_prim::eq.Scalar"},
    {"_operator.gt", "executorch_prim::gt.Scalar"},
    {"_operator.ge", "executorch_prim::ge.Scalar"},
    {"_operator.lt", "executorch_prim::lt.Scalar"},
    {"_operator.le", "executorch_prim::le.Scalar"},
    {"math.ceil", "executorch_prim::ceil.Scalar"},
    {"math.trunc", "executorch_prim::trunc.Scalar"},
    {"builtins.round", "executorch_prim::round.Scalar"},
    {"_operator.round", "executorch_prim::round.Scalar"},
    {"torch.sym_float", "executorch_prim::sym_float.Scalar"},
    {"torch.sym_int", "executorch_prim::sym_int.Scalar"},
    {"torch.sym_max", "executorch_prim::sym_max.Scalar"},
    {"torch.sym_min", "executorch_prim::sym_min.Scalar"},
    {"torch.sym_not", "executorch_prim::sym_not.Scalar"},
    {"torch.sym_ite", "executorch_prim::sym_ite.Scalar"},
};

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
  for (const SymbolicRow& row : symbolic_ops)
    if (row.target == target) return row.key;
  return {};
}

}  // namespace intaglio::pte
