#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/graph.h>
#include <intaglio/program.h>

namespace intaglio {
namespace {

// f32, i8, b8: short forms of the printed graph.
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

std::string list_text(const std::vector<Value*>& values) {
  std::vector<std::string> names;
  for (const Value* value : values) names.push_back(value == nullptr ? "None" : "%" + escaped(value->name()));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

// The shortest text that reads back as the same double, with a point so that it is not taken for an int.
std::string float_text(double value) {
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
  return "%" + escaped(std::get<Value*>(item)->name());
}

template <typename T, typename Text>
std::string join_text(const std::vector<T>& items, Text text) {
  std::vector<std::string> parts;
  for (const T& item : items) parts.push_back(text(item));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

constexpr std::array kMemoryFormats = {"unknown_format", "contiguous_format", "channels_last", "channels_last_3d", "preserve_format"};
constexpr std::array kLayouts = {"unknown", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "mkldnn", "strided"};

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
  std::string operator()(const Value* value) const { return "%" + escaped(value->name()); }
  std::string operator()(const std::vector<Value*>& values) const { return list_text(values); }
  std::string operator()(const std::vector<std::vector<Value*>>& lists) const { return join_text(lists, list_text); }
  std::string operator()(int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(const std::vector<int64_t>& numbers) const { return fmt::format("[{}]", fmt::join(numbers, ", ")); }
  std::string operator()(double number) const { return float_text(number); }
  std::string operator()(const std::vector<double>& numbers) const { return join_text(numbers, float_text); }
  std::string operator()(bool flag) const { return flag ? "True" : "False"; }
  std::string operator()(const std::vector<bool>& flags) const {
    std::vector<std::string> parts;
    for (const bool flag : flags) parts.push_back(flag ? "True" : "False");
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  std::string operator()(const std::string& text) const { return "'" + escaped(text) + "'"; }
  std::string operator()(const std::vector<std::string>& texts) const {
    return join_text(texts, [](const std::string& text) { return "'" + escaped(text) + "'"; });
  }
  std::string operator()(const std::vector<SymArg>& items) const { return join_text(items, sym_text); }
  std::string operator()(DType dtype) const { return std::string(name(dtype)); }
  std::string operator()(MemoryFormat format) const { return kMemoryFormats[static_cast<size_t>(format)]; }
  std::string operator()(Layout layout) const { return kLayouts[static_cast<size_t>(layout)]; }
  std::string operator()(const Device& device) const {
    return escaped(device.type) + (device.index ? fmt::format(":{}", *device.index) : "");
  }
  std::string operator()(const std::shared_ptr<Subgraph>& subgraph) const {
    return fmt::format("graph {} {{\n{}}}", escaped(subgraph->name), indented(to_string(*subgraph->graph), "  "));
  }
  std::string operator()(const CustomObject& object) const { return "object " + escaped(object.name); }
  std::string operator()(const OpName& op) const { return escaped(op.target); }
  std::string operator()(const std::complex<double>& number) const {
    return fmt::format("({} + {}j)", float_text(number.real()), float_text(number.imag()));
  }
  std::string operator()(const std::vector<std::vector<int64_t>>& lists) const {
    return join_text(lists, [](const auto& list) { return fmt::format("[{}]", fmt::join(list, ", ")); });
  }
  std::string operator()(const std::vector<std::vector<double>>& lists) const {
    return join_text(lists, [](const auto& list) { return join_text(list, float_text); });
  }
  std::string operator()(const std::shared_ptr<ArgumentMap>& map) const {
    std::vector<std::string> parts;
    for (const auto& [key, value] : *map) parts.push_back(escaped(key) + ": " + to_string(value));
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
};

std::string value_text(const Value& value) {
  std::string text = "%" + escaped(value.name());
  switch (value.kind()) {
    case ValueKind::tensor: return text + ": " + to_string(value.meta());
    case ValueKind::sym_int: return text + ": int" + (value.sym ? "(" + to_string(*value.sym) + ")" : "");
    case ValueKind::sym_float: return text + ": float";
    case ValueKind::sym_bool: return text + ": bool";
    case ValueKind::custom_object: return text + ": " + escaped(value.class_fqn);
    case ValueKind::none: return text + ": None";
    case ValueKind::literal: return text + ": literal";
  }
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
    arguments.push_back(argument.name.empty() ? text : escaped(argument.name) + "=" + text);
  }
  const std::string left = results.empty() ? "" : fmt::format("{} = ", fmt::join(results, ", "));
  return fmt::format("{}{}({})", left, escaped(node.op().name()), fmt::join(arguments, ", "));
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
  static constexpr std::array kInputs = {"parameter", "buffer", "constant", "object", "user", "literal", "token"};
  static constexpr std::array kOutputs = {"user",  "mutates buffer", "mutates parameter", "mutates input",
                                          "token", "loss",           "gradient of",       "gradient of input"};
  std::string text;
  for (const InputSpec& spec : program.input_specs) {
    text += fmt::format("{} {}", kInputs[static_cast<size_t>(spec.kind)], value_text(*spec.value));
    if (!spec.target.empty()) text += fmt::format(" '{}'", escaped(spec.target));
    if (const Argument* literal = program.graph().literal_of(spec.value)) text += " = " + to_string(*literal);
    text += "\n";
  }
  for (const Node* node : program.graph().node_list()) text += to_string(*node) + "\n";
  const std::vector<Argument> outputs = program.graph().outputs();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputSpec& spec = program.output_specs.at(i);
    text += fmt::format("output {} {}", kOutputs[static_cast<size_t>(spec.kind)], to_string(outputs[i]));
    text += spec.target.empty() ? "\n" : fmt::format(" '{}'\n", escaped(spec.target));
  }
  return text;
}

}  // namespace intaglio
