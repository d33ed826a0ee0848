#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/graph.h>
#include <intaglio/program.h>

#include "ir/program_text.h"

namespace intaglio {

std::string_view short_name(DType dtype) {
  switch (dtype) {
    case DType::uint8: return "u8";
    case DType::int8: return "i8";
    case DType::int16: return "i16";
    case DType::int32: return "i32";
    case DType::int64: return "i64";
    case DType::uint16: return "u16";
    case DType::uint32: return "u32";
    case DType::uint64: return "u64";
    case DType::float16: return "f16";
    case DType::bfloat16: return "bf16";
    case DType::float32: return "f32";
    case DType::float64: return "f64";
    case DType::boolean: return "b8";
    default: return name(dtype);
  }
}

namespace {

// Between single quotes, whole: what reads back as the same bytes.
std::string in_quotes(std::string_view text) {
  std::string marked;
  for (const char c : text) {
    if (c == '\'' || c == '\\') marked += '\\';
    marked += c;
  }
  return "'" + escaped(marked, std::string::npos) + "'";
}

std::string word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_word_character) ? std::string(text) : in_quotes(text);
}

std::string reference(const Value* value) { return value == nullptr ? "None" : "%" + word(value->name()); }

std::string list_text(const std::vector<Value*>& values) {
  std::vector<std::string> names;
  for (const Value* value : values) names.push_back(reference(value));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

// The shortest text that reads back as the same number, with a point so that it is not taken for an int.
template <typename T>
std::string float_text(T value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string sym_text(const SymArg& item) {
  if (const int64_t* number = std::get_if<int64_t>(&item)) return fmt::format("{}", *number);
  if (const double* number = std::get_if<double>(&item)) return float_text(*number);
  if (const bool* flag = std::get_if<bool>(&item)) return *flag ? "True" : "False";
  return reference(std::get<Value*>(item));
}

template <typename T, typename Text>
std::string join_text(const std::vector<T>& items, Text text) {
  std::vector<std::string> parts;
  for (const T& item : items) parts.push_back(text(item));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

std::string indented(const std::string& text, const char* indent) {
  std::string result;
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = text.find('\n', start);
    result += indent + text.substr(start, end - start) + "\n";
    if (end == std::string::npos) break;
    start = end + 1;
  }
  return result;
}

struct ArgumentPrinter {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(const Value* value) const { return reference(value); }
  std::string operator()(const std::vector<Value*>& values) const { return list_text(values); }
  std::string operator()(const std::vector<std::vector<Value*>>& lists) const { return join_text(lists, list_text); }
  std::string operator()(int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(const std::vector<int64_t>& numbers) const { return fmt::format("[{}]", fmt::join(numbers, ", ")); }
  std::string operator()(double number) const { return float_text(number); }
  std::string operator()(const std::vector<double>& numbers) const { return join_text(numbers, float_text<double>); }
  std::string operator()(bool flag) const { return flag ? "True" : "False"; }
  std::string operator()(const std::vector<bool>& flags) const {
    std::vector<std::string> parts;
    for (const bool flag : flags) parts.push_back(flag ? "True" : "False");
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  std::string operator()(const std::string& text) const { return in_quotes(text); }
  std::string operator()(const std::vector<std::string>& texts) const { return join_text(texts, in_quotes); }
  std::string operator()(const std::vector<SymArg>& items) const { return join_text(items, sym_text); }
  std::string operator()(DType dtype) const { return std::string(name(dtype)); }
  std::string operator()(MemoryFormat format) const { return memory_format_words[static_cast<size_t>(format)]; }
  std::string operator()(Layout layout) const { return layout_words[static_cast<size_t>(layout)]; }
  std::string operator()(const Device& device) const { return word(device.type) + (device.index ? fmt::format(":{}", *device.index) : ""); }
  std::string operator()(const std::shared_ptr<Subgraph>& subgraph) const {
    return fmt::format("graph {} {{\n{}}}", word(subgraph->name), indented(to_string(*subgraph->graph), "  "));
  }
  std::string operator()(const CustomObject& object) const {
    return fmt::format("object {} {}", in_quotes(object.name), in_quotes(object.class_fqn));
  }
  std::string operator()(const OpName& op) const { return "op " + in_quotes(op.target); }
  std::string operator()(const std::complex<double>& number) const {
    return fmt::format("({} + {}j)", float_text(number.real()), float_text(number.imag()));
  }
  std::string operator()(const std::vector<std::vector<int64_t>>& lists) const {
    return join_text(lists, [](const auto& list) { return fmt::format("[{}]", fmt::join(list, ", ")); });
  }
  std::string operator()(const std::vector<std::vector<double>>& lists) const {
    return join_text(lists, [](const auto& list) { return join_text(list, float_text<double>); });
  }
  std::string operator()(const std::shared_ptr<ArgumentMap>& map) const {
    std::vector<std::string> parts;
    for (const auto& [key, value] : *map) parts.push_back(word(key) + ": " + to_string(value));
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
};

std::string value_text(const Value& value) {
  std::string text = reference(&value);
  switch (value.kind()) {
    case ValueKind::tensor: return text + ": " + to_string(value.meta());
    case ValueKind::sym_int: return text + ": int" + (value.sym ? "(" + to_string(*value.sym) + ")" : "");
    case ValueKind::sym_float: return text + ": float";
    case ValueKind::sym_bool: return text + ": bool";
    case ValueKind::custom_object: return text + ": object " + in_quotes(value.class_fqn);
    case ValueKind::none: return text + ": None";
    case ValueKind::literal: return text + ": literal";
  }
  return text;
}

// The values of a small constant, "" for others.
std::string constant_text(const Tensor& tensor) {
  const bool has_text = !is_complex(tensor.dtype()) && !(is_floating(tensor.dtype()) && item_size(tensor.dtype()) == 1);
  if (!has_text || tensor.numel() > most_values_shown) return "";
  std::vector<std::string> values;
  const auto collect = [&]<typename T>(T, auto text) {
    const Tensor wide = converted(tensor, dtype_of<T>()).contiguous();
    for (const T value : wide.span<T>()) values.push_back(text(value));
  };
  if (tensor.dtype() == DType::boolean) collect(int64_t{}, [](int64_t flag) { return flag != 0 ? "True" : "False"; });
  else if (tensor.dtype() == DType::float64) collect(double{}, float_text<double>);
  else if (is_floating(tensor.dtype())) collect(float{}, float_text<float>);
  else collect(int64_t{}, [](int64_t number) { return fmt::format("{}", number); });
  return " = " + (tensor.rank() == 0 ? values[0] : fmt::format("[{}]", fmt::join(values, ", ")));
}

// The innermost module that the node is from.
std::string layer_text(const Node& node) {
  const std::vector<ModuleScope> stack = module_stack(node);
  if (stack.empty()) return "";
  return fmt::format(" in {} ({})", in_quotes(stack.back().path), word(stack.back().type));
}

// Ranges of symbols and of expressions of them, and the values that the example inputs gave to symbols.
std::string range_text(const ExportedProgram& program) {
  std::map<std::string, int64_t> hints;
  const auto look_at = [&](const Value* value) {
    if (!value->is_tensor()) return;
    for (const SymInt& size : value->sizes())
      if (!size.is_static() && size.expression()->kind == SymExpr::Kind::symbol && size.hint())
        hints.emplace(size.expression()->name, *size.hint());
  };
  for (const Value* input : program.graph().inputs()) look_at(input);
  for (const Node* node : program.graph().node_list())
    for (const Value* output : node->outputs()) look_at(output);
  std::map<std::string, std::string> lines;
  for (const auto& [expression, range] : program.range_constraints)
    lines[expression] =
        fmt::format(": {}..{}", range.min ? fmt::format("{}", *range.min) : "", range.max ? fmt::format("{}", *range.max) : "");
  for (const auto& [symbol, hint] : hints) {
    std::string& line = lines[symbol];
    if (line.empty()) line = ": ..";
    line += fmt::format(" hint {}", hint);
  }
  std::string text;
  for (const auto& [expression, line] : lines) text += fmt::format("range {}{}\n", escaped(expression, std::string::npos), line);
  return text;
}

}  // namespace

std::string to_string(const TensorMeta& meta) {
  std::vector<std::string> sizes;
  for (const SymInt& size : meta.sizes) sizes.push_back(to_string(size));
  std::string text = fmt::format("{}[{}]", short_name(meta.dtype), fmt::join(sizes, ", "));
  // Row-major is the rule; anything else is said.
  const std::vector<uint8_t> order = meta.dim_order();
  bool row_major = true;
  for (size_t i = 0; i < order.size(); ++i) row_major &= order[i] == i;
  if (!row_major) text += fmt::format("{{{}}}", fmt::join(order, ","));
  return text;
}

std::string to_string(const Argument& argument) { return std::visit(ArgumentPrinter{}, static_cast<const Argument::variant&>(argument)); }

std::string to_string(const Node& node) {
  std::vector<std::string> results, arguments;
  for (const Value* output : node.outputs()) results.push_back(value_text(*output));
  for (const NamedArgument& argument : node.arguments()) {
    const std::string text = to_string(argument.value);
    arguments.push_back(argument.name.empty() ? text : word(argument.name) + "=" + text);
  }
  const std::string left = results.empty() ? "" : fmt::format("{} = ", fmt::join(results, ", "));
  return fmt::format("{}{}({})", left, word(node.op().name()), fmt::join(arguments, ", "));
}

std::string to_string(const Graph& graph) {
  std::string text;
  for (const Value* input : graph.inputs()) {
    const Argument* literal = graph.literal_of(input);
    text += "input " + value_text(*input) + (literal != nullptr ? " = " + to_string(*literal) : "") + "\n";
  }
  for (const Node* node : graph.node_list()) text += to_string(*node) + "\n";
  std::vector<std::string> outputs;
  for (const Argument& output : graph.outputs()) outputs.push_back(to_string(output));
  return text + fmt::format("return {}\n", fmt::join(outputs, ", "));
}

std::string to_string(const ExportedProgram& program) {
  std::string text = range_text(program);
  for (const InputSpec& spec : program.input_specs) {
    text += fmt::format("{} {}", input_words[static_cast<size_t>(spec.kind)], value_text(*spec.value));
    if (!spec.target.empty()) text += " " + in_quotes(spec.target);
    if (const Tensor* tensor = program.constant(spec.value)) text += constant_text(*tensor);
    if (const Argument* literal = program.graph().literal_of(spec.value)) text += " = " + to_string(*literal);
    text += "\n";
  }
  for (const Node* node : program.graph().node_list()) text += to_string(*node) + layer_text(*node) + "\n";
  const std::vector<Argument> outputs = program.graph().outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& spec = program.output_specs.at(i);
    text += fmt::format("output {} {}", output_words[static_cast<size_t>(spec.kind)], to_string(outputs[i]));
    text += spec.target.empty() ? "\n" : fmt::format(" {}\n", in_quotes(spec.target));
  }
  return text;
}

}  // namespace intaglio
