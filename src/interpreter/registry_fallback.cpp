#include "interpreter/registry_fallback.h"

#include <fmt/format.h>

#include "interpreter/promotion.h"
#include "runtime/kernel_registry.h"
#include "runtime/scalar_type.h"

namespace intaglio::interp {
namespace {

using runtime::KernelArgument;

KernelArgument tensor_list(Call& call, const runtime::KernelParameter& parameter) {
  const std::vector<const Tensor*> given = call.tensors(parameter.name);
  if (parameter.optional_items) {
    std::vector<std::optional<Tensor>> list;
    for (const Tensor* tensor : given) list.push_back(tensor == nullptr ? std::nullopt : std::optional(*tensor));
    return list;
  }
  std::vector<Tensor> list;
  for (const Tensor* tensor : given) {
    call.require(tensor != nullptr, "a tensor of a list is missing");
    list.push_back(*tensor);
  }
  return list;
}

KernelArgument scalar(const Number& number) {
  switch (number.kind()) {
    case Number::Kind::boolean: return number.as_int() != 0;
    case Number::Kind::integer: return number.as_int();
    default: return number.as_double();
  }
}

KernelArgument argument_of(Call& call, const runtime::KernelParameter& parameter) {
  if (!call.has(parameter.name)) return std::monostate();
  if (parameter.list) {
    if (parameter.kind == 'T') return tensor_list(call, parameter);
    if (parameter.kind == 'f') return call.floatings(parameter.name);
    return call.integers(parameter.name);
  }
  switch (parameter.kind) {
    case 'T': {
      const auto value = call.tensor_or_number(parameter.name);
      if (const auto* tensor = std::get_if<Tensor>(&value)) return *tensor;
      const Number& number = std::get<Number>(value);
      return scalar_tensor(number, number_type(number));
    }
    case 'f': return call.floating(parameter.name);
    case 'b': return call.boolean(parameter.name);
    case 'c': return call.string(parameter.name);
    case 's': return scalar(call.number(parameter.name));
    default:
      if (call.is_dtype(parameter.name)) return int64_t{*runtime::scalar_type_of_dtype(*call.optional_dtype(parameter.name))};
      return call.integer(parameter.name);
  }
}

// The results as the graph describes them: an upper bound that the kernel may shrink but not exceed.
std::vector<Tensor> allocate_results(Call& call) {
  std::vector<Tensor> outs;
  for (const Value* output : call.node().outputs()) {
    if (!output->is_tensor() || !output->meta().is_static())
      call.unsupported("its result has no fixed size, which the fallback kernel needs");
    outs.push_back(call.empty(output->dtype(), output->meta().static_sizes()));
  }
  return outs;
}

void run_registered(Call& call) {
  const runtime::KernelSignature* signature = runtime::kernel_serving(call.node().op().name());
  if (signature == nullptr) call.unsupported("no kernel");
  std::vector<KernelArgument> arguments;
  for (const runtime::KernelParameter& parameter : signature->parameters) arguments.push_back(argument_of(call, parameter));
  std::vector<Tensor> outs = allocate_results(call);
  runtime::call_kernel(signature->name, arguments, outs);
  call.set_all(std::move(outs));
}

}  // namespace

const Kernel* registry_kernel(const Node& node) {
  static const Kernel kernel = {"", run_registered};
  const runtime::KernelSignature* signature = runtime::kernel_serving(node.op().name());
  return signature != nullptr && runtime::has_kernel(signature->name) ? &kernel : nullptr;
}

}  // namespace intaglio::interp
