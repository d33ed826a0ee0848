#include "backends/coreml/mil/program.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio::coreml {
namespace {

constexpr int64_t elements_shown = 8;  // of a literal

std::string elements_text(const Literal& literal) {
  std::vector<std::string> texts;
  if (literal.type == DataType::string)
    for (const std::string& text : literal.strings) texts.push_back(fmt::format("\"{}\"", escaped(text)));
  else {
    const Tensor wide = converted(elements_of(literal), DType::float64);
    for (const double value : wide.span<double>()) texts.push_back(fmt::format("{}", value));
  }
  return literal.dims.empty() && !texts.empty() ? texts[0] : fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string literal_text(const Literal& literal) {
  const std::string type = to_string(ValueType{literal.type, literal.dims});
  return literal.count() > elements_shown ? type : fmt::format("{}({})", type, elements_text(literal));
}

std::string argument_text(const BoundInput& argument) {
  std::vector<std::string> texts;
  for (const Binding& binding : argument.bindings) {
    const auto* name = std::get_if<std::string>(&binding);
    texts.push_back(name ? "%" + escaped(*name) : literal_text(std::get<Literal>(binding)));
  }
  return fmt::format("{}={}", escaped(argument.parameter), texts.size() == 1 ? texts[0] : fmt::format("({})", fmt::join(texts, ", ")));
}

void append_block(std::string& text, const Block& block, const std::string& indent) {
  for (const Operation& operation : block.operations) {
    text += fmt::format("{}{}\n", indent, to_string(operation));
    for (const Block& inner : operation.blocks) append_block(text, inner, indent + "  ");
  }
  std::vector<std::string> outputs;
  for (const std::string& output : block.outputs) outputs.push_back("%" + escaped(output));
  text += fmt::format("{}return {}\n", indent, fmt::join(outputs, ", "));
}

}  // namespace

std::vector<NamedType> outputs_of(const Function& function) {
  std::unordered_map<std::string_view, const ValueType*> types;
  for (const Input& input : function.inputs) types[input.name] = &input.type;
  for (const Operation& operation : function.body.operations)
    for (const NamedType& output : operation.outputs) types[output.name] = &output.type;
  std::vector<NamedType> result;
  for (const std::string& name : function.body.outputs) {
    const auto found = types.find(name);
    if (found == types.end()) throw_bug(fmt::format("nothing in function '{}' makes its output '{}'", function.name, name));
    result.push_back({name, *found->second});
  }
  return result;
}

std::string to_string(const ValueType& type) {
  std::vector<std::string> sizes;
  for (const int64_t size : type.dims) sizes.push_back(size == unknown_size ? "?" : std::to_string(size));
  const std::string tensor =
      fmt::format("{}{}", row_of(type.type).name, type.dims.empty() ? "" : fmt::format("[{}]", fmt::join(sizes, ",")));
  return type.is_state ? fmt::format("state<{}>", tensor) : tensor;
}

std::string to_string(const Operation& operation) {
  std::vector<std::string> results, arguments;
  for (const NamedType& output : operation.outputs) results.push_back(fmt::format("%{}: {}", escaped(output.name), to_string(output.type)));
  for (const BoundInput& input : operation.inputs) arguments.push_back(argument_text(input));
  for (const Attribute& attribute : operation.attributes)
    if (attribute.name != "name") arguments.push_back(fmt::format("{}={}", escaped(attribute.name), literal_text(attribute.value)));
  const std::string call = fmt::format("{}({})", escaped(operation.type), fmt::join(arguments, ", "));
  return results.empty() ? call : fmt::format("{} = {}", fmt::join(results, ", "), call);
}

std::string to_string(const Program& program) {
  std::string text = fmt::format("{}\n", row_of(program.version).opset);
  for (const Function& function : program.functions) {
    std::vector<std::string> inputs;
    for (const Input& input : function.inputs) inputs.push_back(fmt::format("%{}: {}", escaped(input.name), to_string(input.type)));
    text += fmt::format("{}({}):\n", escaped(function.name), fmt::join(inputs, ", "));
    append_block(text, function.body, "  ");
  }
  return text;
}

}  // namespace intaglio::coreml
