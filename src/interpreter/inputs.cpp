#include "interpreter/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio::interp {
namespace {

std::string expected_sizes(const TensorMeta& meta) {
  std::string text;
  for (const SymInt& size : meta.sizes) text += (text.empty() ? "" : ", ") + to_string(size);
  return "[" + text + "]";
}

[[noreturn]] void wrong_sizes(const Value& input, const Tensor& tensor) {
  throw_bad_input(fmt::format("input '{}' has sizes [{}], the program takes {}: give it data of these sizes", escaped(input.name()),
                              fmt::join(tensor.sizes(), ", "), expected_sizes(input.meta())));
}

// A size that is one symbol gives it its value; any other expression has to agree once all symbols are known.
void bind(const Value& input, const Tensor& tensor, const ExportedProgram& program, SymBindings& bindings) {
  for (size_t i = 0; i < tensor.sizes().size(); ++i) {
    const SymInt& size = input.sizes()[i];
    const int64_t actual = tensor.sizes()[i];
    if (size.is_static()) {
      if (size.value() != actual) wrong_sizes(input, tensor);
      continue;
    }
    const SymExpr& expression = *size.expression();
    if (expression.kind != SymExpr::Kind::symbol) continue;
    const auto [place, fresh] = bindings.emplace(expression.name, actual);
    if (!fresh && place->second != actual)
      throw_bad_input(fmt::format("input '{}' has size {} in dimension {}, where another input with the same symbol {} has {}",
                                  escaped(input.name()), actual, i, escaped(expression.name), place->second));
    const auto range = program.range_constraints.find(expression.name);
    if (range == program.range_constraints.end()) continue;
    const auto& [low, high] = range->second;
    if ((low && actual < *low) || (high && actual > *high))
      throw_bad_input(fmt::format("input '{}' has size {} in dimension {}, the program takes {} to {}", escaped(input.name()), actual, i,
                                  low ? std::to_string(*low) : "any", high ? std::to_string(*high) : "any"));
  }
}

void check_derived(const Value& input, const Tensor& tensor, const SymBindings& bindings) {
  for (size_t i = 0; i < tensor.sizes().size(); ++i) {
    const SymInt& size = input.sizes()[i];
    if (size.is_static()) continue;
    const auto expected = evaluate(*size.expression(), bindings);
    if (expected && *expected != tensor.sizes()[i]) wrong_sizes(input, tensor);
  }
}

}  // namespace

void check_inputs(const ExportedProgram& program, const std::vector<Value*>& inputs, const std::vector<Tensor>& tensors) {
  if (inputs.size() != tensors.size())
    throw_bad_input(fmt::format("the program takes {} inputs, {} were given", inputs.size(), tensors.size()));
  SymBindings bindings;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = *inputs[i];
    const Tensor& tensor = tensors[i];
    if (!tensor.defined()) throw_bad_input(fmt::format("input '{}' is missing", escaped(input.name())));
    if (!input.is_tensor()) {
      if (tensor.numel() != 1) throw_bad_input(fmt::format("input '{}' is a number, give one value", escaped(input.name())));
      continue;
    }
    if (tensor.dtype() != input.dtype())
      throw_bad_input(
          fmt::format("input '{}' is {}, the program takes {}", escaped(input.name()), name(tensor.dtype()), name(input.dtype())));
    if (tensor.rank() != input.meta().rank()) wrong_sizes(input, tensor);
    bind(input, tensor, program, bindings);
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i]->is_tensor()) check_derived(*inputs[i], tensors[i], bindings);
}

}  // namespace intaglio::interp
