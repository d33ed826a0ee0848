#include "recipes/run_values.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::recipes {
namespace {

runtime::RunValue to_run_value(const Tensor& tensor, const runtime::ValueInfo& info) {
  if (!tensor.defined()) return std::monostate{};
  switch (info.kind) {
    case runtime::ValueKind::integer: return tensor.item_as_int();
    case runtime::ValueKind::floating: return tensor.item_as_double();
    case runtime::ValueKind::boolean: return tensor.item_as_int() != 0;
    default: return tensor;
  }
}

struct ToTensor {
  Tensor operator()(std::monostate) const { return {}; }
  Tensor operator()(const Tensor& tensor) const { return tensor; }
  Tensor operator()(int64_t number) const { return Tensor::scalar(number); }
  Tensor operator()(double number) const { return Tensor::scalar(number); }
  Tensor operator()(bool flag) const { return Tensor::scalar(flag); }
  Tensor operator()(const std::string&) const { return {}; }
};

Tensor literal_tensor(const Argument& literal) {
  if (const auto* number = literal.get_if<double>()) return Tensor::scalar(*number);
  if (const auto* flag = literal.get_if<bool>()) return Tensor::scalar(*flag);
  return Tensor::scalar(*literal.get_if<int64_t>());
}

}  // namespace

std::vector<runtime::RunValue> to_run_values(const runtime::MethodInfo& method, const std::vector<Tensor>& inputs) {
  std::vector<runtime::RunValue> values;
  size_t next = 0;
  for (const runtime::ValueInfo& info : method.inputs) {
    if (info.kind == runtime::ValueKind::none) values.emplace_back();
    else if (info.kind == runtime::ValueKind::string) values.emplace_back(info.text);
    else if (next < inputs.size()) values.push_back(to_run_value(inputs[next++], info));
  }
  return values;
}

std::vector<Tensor> to_tensors(const std::vector<runtime::RunValue>& values) {
  std::vector<Tensor> tensors;
  for (const runtime::RunValue& value : values) tensors.push_back(std::visit(ToTensor{}, value));
  return tensors;
}

bool is_number(const Argument& literal) {
  return literal.get_if<int64_t>() != nullptr || literal.get_if<double>() != nullptr || literal.get_if<bool>() != nullptr;
}

std::vector<Tensor> with_literals(const ExportedProgram& program, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> all;
  size_t next = 0;
  for (const InputSpec& spec : program.input_specs) {
    if (spec.kind != InputSpec::Kind::user_input && spec.kind != InputSpec::Kind::literal_input) continue;
    const Argument* literal = program.graph().literal_of(spec.value);
    if (spec.value->kind() == ValueKind::none || (literal != nullptr && !is_number(*literal))) continue;
    if (literal != nullptr) all.push_back(literal_tensor(*literal));
    else if (next < inputs.size()) all.push_back(inputs[next++]);
  }
  return all;
}

}  // namespace intaglio::recipes
