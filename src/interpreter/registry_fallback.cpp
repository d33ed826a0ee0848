#include "interpreter/fallbacks.h"

#include "decompose/decompose.h"
#include "interpreter/promotion.h"
#include "pte/kernel_table.h"
#include "pte/scalar_type.h"
#include "runtime/kernel_registry.h"

namespace intaglio::interp {
namespace {

using runtime::KernelArgument;

// An in-place op is computed as its functional form, and then copied over the operand.
const pte::RuntimeKernel* kernel_for(const Node& node) {
  return pte::runtime_kernel_for(decompose::functional_form(node.op()).value_or(node.op()).name());
}

KernelArgument tensor_list(Call& call, const ArgSchema& parameter) {
  const std::vector<const Tensor*> given = call.tensors(parameter.name);
  if (parameter.type == ArgType::optional_tensor_list) {
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

KernelArgument argument_of(Call& call, const ArgSchema& parameter) {
  if (!call.has(parameter.name)) return std::monostate();
  switch (parameter.type) {
    case ArgType::tensor_list:
    case ArgType::optional_tensor_list: return tensor_list(call, parameter);
    case ArgType::floating_list: return call.floatings(parameter.name);
    case ArgType::integer_list: return call.integers(parameter.name);
    case ArgType::boolean_list: return call.booleans(parameter.name);
    case ArgType::tensor:
    case ArgType::optional_tensor: {
      const auto value = call.tensor_or_number(parameter.name);
      if (const auto* tensor = std::get_if<Tensor>(&value)) return *tensor;
      const Number& number = std::get<Number>(value);
      return scalar_tensor(number, number_type(number));
    }
    case ArgType::floating: return call.floating(parameter.name);
    case ArgType::boolean: return call.boolean(parameter.name);
    case ArgType::string: return call.string(parameter.name);
    case ArgType::scalar: return scalar(call.number(parameter.name));
    default:
      if (call.is_dtype(parameter.name)) return int64_t{*pte::kernel_scalar_type(*call.optional_dtype(parameter.name))};
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
  const pte::RuntimeKernel* kernel = kernel_for(call.node());
  if (kernel == nullptr) call.unsupported("no kernel");
  std::vector<KernelArgument> arguments;
  for (const ArgSchema& parameter : pte::inputs_of(*kernel)) arguments.push_back(argument_of(call, parameter));
  std::vector<Tensor> outs = allocate_results(call);
  runtime::call_kernel(kernel->key, arguments, outs);
  call.set_all(std::move(outs));
}

}  // namespace

const Kernel* registry_kernel(const Node& node) {
  static const Kernel row = {"", run_registered};
  const pte::RuntimeKernel* kernel = kernel_for(node);
  return kernel != nullptr && runtime::has_kernel(kernel->key) ? &row : nullptr;
}

}  // namespace intaglio::interp
